-- Marks keys done, regardless of their owners, raises the numbers of objects, and settles the keys' entries
-- in the ledger. Follows settle.lua.
-- KEYS: the keys, the objects, then those of settle(). ARGV: the number of keys, their time to live in ms,
-- the number of objects, theirs, the hash of the body for each key, the number for each object, then the
-- arguments of settle(). Answers the keys of the ledger that were overwritten. If a part fails the keys are
-- marked nevertheless: all may be repeated. The caller sends at most CALL_MAX keys, with an object each.
--
-- The number of an object never falls, in whichever order calls come. An object of another type stays as it
-- is: it tells nothing.
local keys, objects = tonumber(ARGV[1]), tonumber(ARGV[3])
for n = 1, keys do redis.call('SET', KEYS[n], ARGV[n + 4], 'PX', ARGV[2]) end
for n = keys + 1, keys + objects do
  local key, new = KEYS[n], ARGV[n + 4]
  local old = redis.pcall('SET', key, new, 'PX', ARGV[4], 'GET')
  if type(old) == 'table' then
    if not string.find(old.err, 'WRONGTYPE', 1, true) then return old end
  -- Compared as text: Lua would round numbers of this size.
  elseif old and (#old > #new or #old == #new and old > new) and string.find(old, '^%d+$') then
    redis.call('SET', key, old, 'PX', ARGV[4])
  end
end
local sent = keys + objects
if KEYS[sent + 1] then return settle('1', sent + 1, sent + 5) end
