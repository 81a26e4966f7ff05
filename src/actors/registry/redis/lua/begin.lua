#!lua flags=allow-oom
-- Gives Redis a new life, if whoever asks still leads. KEYS: barrier, then each bucket's life and dirty
-- ARGV: who leads, which is the name of the life. Answers: 1, or 0 when somebody else leads
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #KEYS, 2 do
  redis.call('SET', KEYS[i], ARGV[1])
  redis.call('UNLINK', KEYS[i + 1])
end
return 1
