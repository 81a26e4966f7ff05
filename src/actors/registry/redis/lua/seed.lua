#!lua flags=allow-oom
-- Takes a room in from the database, if it is not here in this life. Serves cold, emptied and stale rooms.
-- KEYS: life, dirty, room, list, ids, order
-- ARGV: room, read_at, epoch, head, n, at, floor, rights, members
-- Answers: {NOLIFE} {OLD} {OK}
local LIFE = '%LIFE%'
local READING_MS = 5000
local IDLE_MS = 3600000
if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
if redis.call('HGET', KEYS[3], 'life') == LIFE then return {'OK'} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- The database may have moved on since; or the log was let go of, and holds more than was read.
local dropped = tonumber(redis.call('HGET', KEYS[3], 'dropped') or 0)
if now - tonumber(ARGV[2]) > READING_MS or tonumber(ARGV[2]) <= dropped then return {'OLD'} end
redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[3], 'life', LIFE, 'epoch', ARGV[3], 'head', ARGV[4], 'n', ARGV[5],
  'flushed', ARGV[4], 'at', ARGV[6], 'floor', ARGV[7], 'rights', ARGV[8], 'members', ARGV[9],
  'bytes', '0', 'weighed', ARGV[4])
redis.call('PEXPIREAT', KEYS[3], string.format('%.0f', now + IDLE_MS))
return {'OK'}
