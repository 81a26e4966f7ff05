#!lua flags=allow-oom
-- A room's log goes on in a new epoch, which stands in the database already.
-- KEYS: life, dirty, room, list, ids, order   ARGV: room, channel, the epoch that is over, the new one
-- Answers: {NOLIFE} {OK}
local LIFE = '%LIFE%'
if redis.call('GET', KEYS[1]) ~= LIFE then return {'NOLIFE'} end
if redis.call('HGET', KEYS[3], 'life') == LIFE then redis.call('HSET', KEYS[3], 'epoch', ARGV[4]) end
redis.call('PUBLISH', ARGV[2], '1X ' .. LIFE .. ' ' .. ARGV[3] .. '\n')
return {'OK'}
