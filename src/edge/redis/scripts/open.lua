-- Opens the ledger and answers since when this Redis counts, in ms since 1970.
-- KEYS: the root of the ledger. ARGV: the id of this Redis process, its start in ms since 1970, a margin in
-- ms, how marks are named (see own.lua).
--
-- Another id than last time means that Redis was restarted, or that a replica took over. What its predecessor
-- knew last may be lost, so it counts from now. A Redis without a ledger counts from its start, unless it was
-- made to forget something (ARGV[2] is empty).
local instance = redis.call('HGET', KEYS[1], 'instance')
if instance ~= ARGV[1] then
  local time = redis.call('TIME')
  local since = time[1] * 1000 + math.floor(time[2] / 1000)
  if not instance and ARGV[2] ~= '' then since = ARGV[2] end
  since = string.format('%.0f', since + ARGV[3])
  redis.call('HSET', KEYS[1], 'instance', ARGV[1], 'since', since, 'marks', ARGV[4])
end
return redis.call('HGET', KEYS[1], 'since')
