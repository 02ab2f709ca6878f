-- Gives a claim back if the owner still holds it. A key that cannot be read is not the owner's.
-- KEYS: the key. ARGV: the owner.
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
