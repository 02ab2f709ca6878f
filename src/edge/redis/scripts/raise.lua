-- Raises the numbers of objects, and settles the entries of done webhooks in the ledger. Follows settle.lua.
-- KEYS: the objects, each once, then those of settle(). ARGV: the number of objects, their time to live in
-- ms, the number for each object, then the arguments of settle(). Answers the keys of the ledger that were
-- overwritten. All may be repeated. The caller sends at most CALL_MAX objects.
--
-- The number of an object never falls, in whichever order calls come. An object of another type stays as it
-- is: it tells nothing.
local objects, ttl = tonumber(ARGV[1]), ARGV[2]
if objects > 0 then
  for n, old in ipairs(redis.call('MGET', unpack(KEYS, 1, objects))) do
    local key, new = KEYS[n], ARGV[n + 2]
    if not old then
      -- There is none, or one of another type.
      redis.call('SET', key, new, 'NX', 'PX', ttl)
    -- Compared as text: Lua would round numbers of this size.
    elseif (#old > #new or #old == #new and old > new) and string.find(old, '^%d+$') then
      redis.call('PEXPIRE', key, ttl)
    else
      redis.call('SET', key, new, 'PX', ttl)
    end
  end
end
if KEYS[objects + 1] then return settle(1, objects + 1, objects + 3) end
