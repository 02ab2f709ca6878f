-- Claims every key for the owner at the same place, for the lease, and reads how far the objects are.
-- KEYS: the keys, then the objects. ARGV: the lease in ms, then an owner for each key.
-- Answers two lists: for each key 'claimed', 'busy', 'unreadable' or the hash of the body that was published
-- under it; for each object the number of its last event that was published, nil if there is none.
--
-- A claim is re-entrant for the same owner, since a claim that timed out may have succeeded. A key of another
-- type is only its own answer ('unreadable'; nil for an object); any other error fails the whole call. The
-- caller sends at most CALL_MAX keys, with an object each (src/edge/redis/scripts.rs).
local count, answers, published = #ARGV - 1, {}, {}
for n = 1, count do
  local key, owner = KEYS[n], ARGV[n + 1]
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
if KEYS[count + 1] then published = redis.call('MGET', unpack(KEYS, count + 1)) end
return {answers, published}
