#!lua flags=allow-oom
-- Keeps a node's lease. KEYS: lease, nodes, users   ARGV: id, generation, lease as JSON, milliseconds
-- Answers: KEPT, NEW (there was none: the node was away), or TAKEN (another process has this id)
local before = redis.call('GET', KEYS[1])
local answer = 'NEW'
if before then
  local generation = string.match(before, '"generation":"([^"]*)"')
  if generation == ARGV[2] then answer = 'KEPT'
  elseif generation > ARGV[2] then return 'TAKEN' end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return answer
