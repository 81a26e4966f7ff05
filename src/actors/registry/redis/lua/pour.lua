#!lua flags=allow-oom
-- Pours into a bucket of a limit that all nodes fill. It is kept as the moment when it will
-- have leaked empty, in microseconds of Redis' clock, and is gone by then.
-- KEYS: the bucket
-- ARGV: how many leak out in a second, how many come in, most that fit, 1 for all or nothing
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each = 1000000 / tonumber(ARGV[1])
local most = tonumber(ARGV[3])
local empty_at = tonumber(redis.call('GET', KEYS[1]) or '0')
local level = math.max((empty_at - now) / each, 0)
local full = level + tonumber(ARGV[2])
if full > most + 0.000001 then
  if ARGV[4] == '1' then
    return {0, tostring(level)}
  end
  full = most
end
if full <= 0 then
  redis.call('UNLINK', KEYS[1])
  return {1, '0'}
end
redis.call('SET', KEYS[1], string.format('%.0f', now + full * each),
  'PX', math.ceil(full * each / 1000))
return {1, tostring(full)}
