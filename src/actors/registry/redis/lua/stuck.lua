#!lua flags=no-writes
-- Rooms of one bucket that are dirty and whose `flushed` has not moved for so long.
-- KEYS: dirty   ARGV: milliseconds, most rooms
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[1])),
  'BYSCORE', 'LIMIT', 0, ARGV[2])
