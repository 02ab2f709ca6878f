-- Answers whom the namespace belongs to, and how its marks are named: 'prefixed', or 'bare' if version 0.1.0
-- has kept a ledger here (it wrote no such word). KEYS: the namespace's record, the root of the ledger.
-- ARGV: the broker and virtual host of the caller, when its topology was first applied (each empty if
-- unknown), 1 if the caller takes a namespace that belongs to nobody.
local owner = redis.call('HGET', KEYS[1], 'broker')
local topology = redis.call('HGET', KEYS[1], 'topology')
local marks = redis.call('HGET', KEYS[1], 'marks')
if not marks then
  marks = redis.pcall('HGET', KEYS[2], 'marks')
  if type(marks) ~= 'string' then
    marks = redis.call('EXISTS', KEYS[2]) == 1 and 'bare' or 'prefixed'
  end
end
if ARGV[1] ~= '' and ARGV[3] == '1' then
  if not owner then
    owner, topology = ARGV[1], false
    redis.call('HSET', KEYS[1], 'broker', owner, 'marks', marks)
    redis.call('HDEL', KEYS[1], 'topology')
  end
  -- Its topology is new to the record, or was applied anew after the broker had lost its data. A process that
  -- does not know that yet brings an earlier time.
  if owner == ARGV[1] and ARGV[2] ~= '' and (not topology or topology < ARGV[2]) then
    topology = ARGV[2]
    redis.call('HSET', KEYS[1], 'topology', topology)
  end
end
return {owner or '', topology or '', marks}
