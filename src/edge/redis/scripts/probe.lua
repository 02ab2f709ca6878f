-- Tries whether Redis permits what settle() needs. Follows settle.lua.
settle('1', 1, 1) redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
