-- Records how far a run has come, and extends the life of its keys. Blocks have a life of their own.
-- KEYS: the run, the set of runs, the root of the ledger. ARGV: the mark's `through`, 1 if it closes the run,
-- the name of the run, the time to live in ms, the moment since which the caller believes that this Redis
-- counts.
--
-- Fails if Redis has lost the ledger, so that the caller opens it again. Every command may be repeated.
if redis.call('HGET', KEYS[3], 'since') ~= ARGV[5] then
  return redis.error_reply('GONE the ledger is gone')
end
local through = tonumber(redis.call('HGET', KEYS[1], 'through') or '0')
if tonumber(ARGV[1]) >= through then redis.call('HSET', KEYS[1], 'through', ARGV[1]) end
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'closed', 1) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SADD', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
