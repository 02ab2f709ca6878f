-- Claims every key for the owner at the same place, for the lease.
-- KEYS: the keys. ARGV: the lease in ms, then an owner for each key.
-- Answers for each key 'claimed', 'busy', 'unreadable' or the hash of the body that was published under it.
--
-- A claim is re-entrant for the same owner, since a claim that timed out may have succeeded. A key of another
-- type is only its own answer ('unreadable'); any other error fails the whole call. The caller sends at most
-- CALL_MAX keys (src/edge/redis/scripts.rs).
local answers = {}
for n, key in ipairs(KEYS) do
  local owner = ARGV[n + 1]
  answers[n] = 'claimed'
  if not redis.call('SET', key, owner, 'NX', 'PX', ARGV[1]) then
    local v = redis.pcall('GET', key)
    if type(v) == 'table' then
      if not string.find(v.err, 'WRONGTYPE', 1, true) then return v end
      v = ''
    end
    if v == owner then
      redis.call('SET', key, owner, 'PX', ARGV[1])
    elseif string.find(v, '^o[%x%-]+$') then
      answers[n] = 'busy'
    elseif string.find(v, '^%d+$') then
      answers[n] = v
    else
      answers[n] = 'unreadable'
    end
  end
end
return answers
