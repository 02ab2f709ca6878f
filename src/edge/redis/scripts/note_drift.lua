-- Records schema drift of a source.
-- KEYS: the source's hash. ARGV: the most fields, the time to live in ms, then of each sighting its field
-- (type and path), the earliest and the latest time of receipt in ms, the webhooks, and the length's class.
--
-- A field holds '<first> <last> <webhooks> <length> <field>'. 'fields' counts the fields. Once there are too
-- many, what is new is counted under one field for all, 'others -'. So it is if 'fields' is no count.
local max = tonumber(ARGV[1])
local fields = redis.pcall('HGET', KEYS[1], 'fields')
if type(fields) == 'table' then
  -- As it is: Redis 6 hides the code of an error that a script raises, and WRONGTYPE must close no gate.
  return fields
end
local count = tonumber(fields or '0') or max
for n = 3, #ARGV, 5 do
  local field, length = ARGV[n], ARGV[n + 4]
  local first, last, webhooks = tonumber(ARGV[n + 1]), tonumber(ARGV[n + 2]), tonumber(ARGV[n + 3])
  local v = redis.call('HGET', KEYS[1], field)
  if not v and not (count < max) then
    field, length = 'others -', '-'
    v = redis.call('HGET', KEYS[1], field)
  end
  if v then
    local f, l, w, shape = string.match(v, '^(%d+) (%d+) (%d+) (%S+) ')
    if f then
      first, last = math.min(first, tonumber(f)), math.max(last, tonumber(l))
      webhooks = webhooks + tonumber(w)
      length = shape
    end
  elseif field ~= 'others -' then
    count = count + 1
  end
  local value = string.format('%.0f %.0f %.0f %s %s', first, last, webhooks, length, field)
  redis.call('HSET', KEYS[1], field, value)
end
redis.call('HSET', KEYS[1], 'fields', string.format('%.0f', count))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
