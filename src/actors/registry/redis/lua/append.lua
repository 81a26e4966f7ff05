#!lua
-- Appends drafts to one room's log in one step, or says why not.
-- KEYS: life, dirty, room, list, ids, order   ARGV: room, channel, head, rights, members, joins,
-- then for each draft: id, made_at, digest, flags (m message, r restricts, c members), payload,
-- and when the database was found not to know it (0: it was not asked)
-- Answers: {NOLIFE} {COLD, now} {BEHIND} {STALE, head, events...} {ASK, now, numbers...}
-- {DONE, dirty, epoch, fates...}
local LIFE = '%LIFE%'
local AHEAD_MS = 60000
-- Shorter than ids stay here: what was not in the database then is here now, if it is anywhere.
local CHECKED_MS = 60000
local NEWER = 200
local function whole(number) return string.format('%.0f', number) end

if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local room = redis.call('HMGET', KEYS[3],
  'life', 'head', 'n', 'flushed', 'floor', 'rights', 'members', 'at', 'epoch', 'bytes', 'weighed')
if room[1] ~= LIFE then return {'COLD', whole(now)} end
local head, n, flushed, floor = tonumber(room[2]), tonumber(room[3]), tonumber(room[4]), tonumber(room[5])
local rights, members, epoch = tonumber(room[6]), tonumber(room[7]), room[9]
local known = tonumber(ARGV[3])
-- The asker has seen what this log has not: the log has lost something.
if known > head then return {'BEHIND'} end

if tonumber(ARGV[4]) < rights or (ARGV[6] == '1' and tonumber(ARGV[5]) < members) then
  local first = head - redis.call('LLEN', KEYS[4]) + 1
  local answer = {'STALE', whole(head)}
  if known + 1 >= first then
    local from = known + 1 - first
    for _, event in ipairs(redis.call('LRANGE', KEYS[4], from, from + NEWER - 1)) do
      answer[#answer + 1] = event
    end
  end
  return answer
end

local drafts = (#ARGV - 6) / 6

-- Which are there already, and of which only the database can tell?
local fates, asks, here = {}, {'ASK', whole(now)}, {}
for i = 1, drafts do
  local at = 6 + (i - 1) * 6
  local id, made_at, digest = ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local checked = tonumber(ARGV[at + 6]) > now - CHECKED_MS
  local before = redis.call('HGET', KEYS[5], id)
  if before then
    local place, of = string.match(before, '^(%d+ %d+ %d+) (%-?%d+)$')
    fates[i] = (of == digest and 'D ' or 'C ') .. place
  elseif here[id] then
    fates[i] = here[id]
  elseif not checked and (made_at <= floor or made_at > now + AHEAD_MS
      or made_at <= tonumber(redis.call('HGET', KEYS[3], 'a:' .. string.match(id, '^[^:]*')) or 0)) then
    asks[#asks + 1] = whole(i)
  else
    here[id] = i
  end
end
if #asks > 2 then return asks end

local at = math.max(tonumber(room[8]), now)
local ring, count, bytes = {}, 0, 0
for i = 1, drafts do
  local fate = fates[i]
  if type(fate) == 'number' then
    -- The same id twice in one call: the second is what became of the first.
    local first, second = 6 + (fate - 1) * 6, 6 + (i - 1) * 6
    local same = ARGV[first + 3] == ARGV[second + 3]
    fates[i] = (same and 'D ' or 'C ') .. string.match(fates[fate], '^%a (.*)$')
  elseif not fate then
    local a = 6 + (i - 1) * 6
    local flags = ARGV[a + 4]
    head = head + 1
    if string.find(flags, 'm', 1, true) then n = n + 1 end
    if string.find(flags, 'r', 1, true) then rights = head end
    if string.find(flags, 'c', 1, true) then members = head end
    local place = whole(head) .. ' ' .. whole(n) .. ' ' .. whole(at)
    local event = '1 ' .. place .. ' ' .. ARGV[a + 5]
    redis.call('RPUSH', KEYS[4], event)
    redis.call('HSET', KEYS[5], ARGV[a + 1], place .. ' ' .. ARGV[a + 3])
    redis.call('RPUSH', KEYS[6], whole(head) .. ' ' .. whole(at) .. ' ' .. ARGV[a + 2] .. ' ' .. ARGV[a + 1])
    ring[#ring + 1] = #event .. '\n' .. event
    fates[i] = 'N ' .. place
    count = count + 1
    bytes = bytes + #event
  end
end

local dirty = '0'
if count > 0 then
  redis.call('HSET', KEYS[3], 'head', whole(head), 'n', whole(n), 'at', whole(at),
    'rights', whole(rights), 'members', whole(members))
  -- `bytes` is what the list weighs, if it is weighed up to the head.
  if room[11] == room[2] then
    redis.call('HSET', KEYS[3], 'bytes', whole(tonumber(room[10]) + bytes), 'weighed', whole(head))
  end
  if head - count == flushed then
    dirty = '1'
    redis.call('ZADD', KEYS[2], now, ARGV[1])
    for i = 3, 6 do redis.call('PERSIST', KEYS[i]) end
  end
  redis.call('PUBLISH', ARGV[2], '1E ' .. LIFE .. ' ' .. epoch .. '\n' .. table.concat(ring))
end
local answer = {'DONE', dirty, epoch}
for i = 1, drafts do answer[#answer + 1] = fates[i] end
return answer
