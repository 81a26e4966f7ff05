#!lua flags=no-writes
-- A part of a room's hot log. KEYS: life, room, list
-- ARGV: side ('after' or 'before'), seq (exclusive), limit
-- Answers: {NOLIFE} {COLD} {OK, epoch, head, first, events...}: `first` is the oldest that is here.
local LIFE = '%LIFE%'
if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
local room = redis.call('HMGET', KEYS[2], 'life', 'head', 'epoch')
if room[1] ~= LIFE then return {'COLD'} end
local head, seq, limit = tonumber(room[2]), tonumber(ARGV[2]), tonumber(ARGV[3])
local count = redis.call('LLEN', KEYS[3])
local first = head - count + 1
local from, to
if ARGV[1] == 'after' then
  from = math.max(seq + 1 - first, 0)
  to = from + limit - 1
else
  to = math.min(seq - 1, head) - first
  from = math.max(to - limit + 1, 0)
end
local answer = {'OK', room[3], string.format('%.0f', head), string.format('%.0f', first)}
if limit > 0 and to >= from then
  for _, event in ipairs(redis.call('LRANGE', KEYS[3], from, to)) do
    answer[#answer + 1] = event
  end
end
return answer
