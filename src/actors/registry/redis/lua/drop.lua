#!lua flags=allow-oom
-- A room's log contradicts the database: lets go of all of it. The room is seeded again, in its new epoch.
-- KEYS: life, dirty, room, list, ids, order   ARGV: room, channel, the epoch that is over
-- Answers: {NOLIFE} {OK, events...}: what was not in the database, to be appended again
local LIFE = '%LIFE%'
if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
local DROPPED_MS = 10000
local room = redis.call('HMGET', KEYS[3], 'life', 'head', 'flushed', 'epoch')
local answer = {'OK'}
if room[1] == LIFE and room[4] ~= ARGV[3] then return answer end
if room[1] == LIFE then
  local unflushed = tonumber(room[2]) - tonumber(room[3])
  if unflushed > 0 then
    for _, event in ipairs(redis.call('LRANGE', KEYS[4], -unflushed, -1)) do
      answer[#answer + 1] = event
    end
  end
end
redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[2], ARGV[1])
-- A reading from before this must not seed the room again.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[3], 'dropped', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[3], DROPPED_MS)
redis.call('PUBLISH', ARGV[2], '1X ' .. LIFE .. ' ' .. ARGV[3] .. '\n')
return answer
