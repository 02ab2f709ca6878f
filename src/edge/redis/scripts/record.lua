-- Settles numbers of the ledger. Follows settle.lua.
-- KEYS: those of settle(). ARGV: the state, then the arguments of settle().
return settle(tonumber(ARGV[1]), 1, 2)
