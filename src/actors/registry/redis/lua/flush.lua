#!lua flags=allow-oom
-- Everything up to `seq` stands in the database: moves `flushed` forward, and lets go of what is behind.
-- KEYS: life, dirty, room, list, ids, order   ARGV: room, channel, seq
-- Answers: {NOLIFE} {GONE} {AHEAD} {OK, flushed, head}
local LIFE = '%LIFE%'
local HOT_EVENTS = 200
local HOT_BYTES = 262144
-- What is taken out is in memory twice for a moment.
local MOST_POPPED = 100
local IDS_MS = 120000
local AHEAD_MS = 60000
local IDLE_MS = 3600000
local MOST_IDS = 2000
if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
local room = redis.call('HMGET', KEYS[3],
  'life', 'head', 'flushed', 'floor', 'epoch', 'bytes', 'weighed')
if room[1] ~= LIFE then return {'GONE'} end
local head, flushed, floor = tonumber(room[2]), tonumber(room[3]), tonumber(room[4])
local seq = tonumber(ARGV[3])
if seq > head then return {'AHEAD'} end

local function whole(number) return string.format('%.0f', number) end

local function weight(events)
  local bytes = 0
  for _, event in ipairs(events) do bytes = bytes + #event end
  return bytes
end

-- Takes the oldest events out of the list; answers what they weigh.
local function pop(count)
  local bytes = 0
  while count > 0 do
    local popped = math.min(count, MOST_POPPED)
    bytes = bytes + weight(redis.call('LPOP', KEYS[4], popped))
    count = count - popped
  end
  return bytes
end

-- Keeps the newest events: so many, of so many bytes, and all that are not in the database.
local function trim(unwritten)
  local kept, bytes = redis.call('LLEN', KEYS[4]), nil
  local surplus = math.max(kept - math.max(HOT_EVENTS, unwritten), 0)
  kept = kept - surplus
  if room[7] == room[2] then
    bytes = tonumber(room[6]) - pop(surplus)
  else
    -- A version that does not weigh has appended.
    redis.call('LTRIM', KEYS[4], surplus, -1)
    if kept > HOT_EVENTS then return end
    bytes = weight(redis.call('LRANGE', KEYS[4], 0, -1))
  end
  while bytes > HOT_BYTES and kept > unwritten do
    bytes = bytes - pop(1)
    kept = kept - 1
  end
  if kept == 0 then bytes = 0 end
  redis.call('HSET', KEYS[3], 'bytes', whole(bytes), 'weighed', room[2])
end

if seq > flushed then
  flushed = seq
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  trim(head - flushed)
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
