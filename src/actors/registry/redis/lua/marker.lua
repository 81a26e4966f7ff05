#!lua flags=no-writes,allow-oom
-- Whoever begins life %LIFE% loads this after everything else. Never change this text.
return '%LIFE%'
