#!lua flags=allow-oom
-- Everything up to `seq` stands in the database: moves `flushed` forward, and lets go of what is behind.
-- KEYS: life, dirty, room, list, ids, order   ARGV: room, channel, seq
-- Answers: {NOLIFE} {GONE} {AHEAD} {OK, flushed, head}
local LIFE = '%LIFE%'
local HOT_EVENTS = 200
local IDS_MS = 120000
local AHEAD_MS = 60000
local IDLE_MS = 3600000
local MOST_IDS = 2000
if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
local room = redis.call('HMGET', KEYS[3], 'life', 'head', 'flushed', 'floor', 'epoch')
if room[1] ~= LIFE then return {'GONE'} end
local head, flushed, floor = tonumber(room[2]), tonumber(room[3]), tonumber(room[4])
local seq = tonumber(ARGV[3])
if seq > head then return {'AHEAD'} end

local function whole(number) return string.format('%.0f', number) end

if seq > flushed then
  flushed = seq
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('LTRIM', KEYS[4], -math.max(HOT_EVENTS, head - flushed), -1)
  for _ = 1, MOST_IDS do
    local oldest = redis.call('LINDEX', KEYS[6], 0)
    if not oldest then break end
    local place, at, made_at, id = string.match(oldest, '^(%d+) (%d+) (%-?%d+) (.*)$')
    if tonumber(place) > flushed or tonumber(at) > now - IDS_MS then break end
    redis.call('LPOP', KEYS[6])
    redis.call('HDEL', KEYS[5], id)
    -- A clock that is far ahead costs only its owner.
    if tonumber(made_at) <= tonumber(at) + AHEAD_MS then
      floor = math.max(floor, tonumber(made_at))
    else
      local ahead = 'a:' .. string.match(id, '^[^:]*')
      local before = tonumber(redis.call('HGET', KEYS[3], ahead) or 0)
      redis.call('HSET', KEYS[3], ahead, whole(math.max(before, tonumber(made_at))))
    end
  end
  redis.call('HSET', KEYS[3], 'flushed', whole(flushed), 'floor', whole(floor))
  if flushed == head then
    redis.call('ZREM', KEYS[2], ARGV[1])
    for i = 3, 6 do redis.call('PEXPIREAT', KEYS[i], whole(now + IDLE_MS)) end
  else
    redis.call('ZADD', KEYS[2], now, ARGV[1])
  end
  redis.call('PUBLISH', ARGV[2], '1F ' .. LIFE .. ' ' .. room[5] .. '\n' .. whole(flushed))
end
return {'OK', whole(flushed), whole(head)}
