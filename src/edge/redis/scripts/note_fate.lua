-- Records the fate of a letter in a wave.
-- KEYS: the wave. ARGV: the letter's delivery id, the fate, the time to live in ms.
--
-- A retry is not final. Any other fate stays: a copy of the letter that comes later is only a duplicate.
local v = redis.call('HGET', KEYS[1], ARGV[1])
if not v or v == 'retry' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
