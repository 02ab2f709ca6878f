-- Moves the counts of a run of which nothing is in the system any more to its source's total. The moved
-- number stays on the run, so that a mark that is repeated finds nothing open.
-- KEYS: the run, the set of runs, the total. ARGV: the name of the run, the time to live in ms.
--
-- A script that fails in the middle keeps what it has written. So every command is first tried without
-- effect: one that is not permitted must not leave a run that is added to the total again and again.
local names = {'done', 'duplicate', 'discarded', 'dead'}
local run = redis.call('HMGET', KEYS[1], 'through', 'refused', 'summed', unpack(names))
local settled = 0
for n = 1, #names do settled = settled + (run[n + 3] or 0) end
if (run[1] or 0) - (run[2] or 0) - (run[3] or 0) > settled then return end
redis.call('HINCRBY', KEYS[3], names[1], 0)
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('HDEL', KEYS[1], '')
redis.call('SREM', KEYS[2], '')
for n, name in ipairs(names) do
  if run[n + 3] then redis.call('HINCRBY', KEYS[3], name, run[n + 3]) end
end
redis.call('HDEL', KEYS[1], unpack(names))
redis.call('HINCRBY', KEYS[1], 'summed', settled)
redis.call('SREM', KEYS[2], ARGV[1])
