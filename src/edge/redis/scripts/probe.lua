-- Tries every command that hookswitch needs, on keys of its own. Follows settle.lua.
-- KEYS: a mark, another key, then those of settle(). ARGV: the arguments of settle().
--
-- So a missing permission is known when a connection is opened, and is not met again by each delivery.
redis.call('SET', KEYS[1], 'o', 'NX', 'PX', 1000)
redis.call('GET', KEYS[1])
redis.call('MGET', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], 'a', 1)
redis.call('HGET', KEYS[2], 'a')
redis.call('HMGET', KEYS[2], 'a')
redis.call('HVALS', KEYS[2])
redis.call('HDEL', KEYS[2], 'a')
redis.call('EXISTS', KEYS[2])
redis.call('SMEMBERS', KEYS[2])
redis.call('SREM', KEYS[2], 'a')
if KEYS[3] then
  local unreadable = settle(1, 3, 1)
  redis.call('DEL', KEYS[4], KEYS[5], KEYS[6])
  return unreadable
end
