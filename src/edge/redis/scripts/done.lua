-- Marks keys done, regardless of their owners, and settles their entries in the ledger. Follows settle.lua.
-- KEYS: the keys, then those of settle(). ARGV: the number of keys, their time to live in ms, the hash of
-- the body for each key, then the arguments of settle(). Answers the keys of the ledger that were
-- overwritten. If counting fails the keys are marked nevertheless: both may be repeated. The caller sends at
-- most CALL_MAX keys.
local count = tonumber(ARGV[1])
for n = 1, count do redis.call('SET', KEYS[n], ARGV[n + 2], 'PX', ARGV[2]) end
if KEYS[count + 1] then return settle('1', count + 1, count + 3) end
