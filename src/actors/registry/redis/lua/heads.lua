#!lua flags=no-writes
-- `EPOCH HEAD` of rooms of one bucket; an empty string for those that are not here.
-- KEYS: life, rooms...   Answers: {NOLIFE} {OK, heads...}
local LIFE = '%LIFE%'
if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
local answer = {'OK'}
for i = 2, #KEYS do
  local room = redis.call('HMGET', KEYS[i], 'life', 'epoch', 'head')
  answer[i] = room[1] == LIFE and room[2] .. ' ' .. room[3] or ''
end
return answer
