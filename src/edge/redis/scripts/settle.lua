-- settle(state, key, arg): gives numbers of the ledger a state. A part of other scripts.
--
-- From KEYS[key] on: the set of runs, then a run and a block for each group of numbers.
-- From ARGV[arg] on: the time to live of states in ms, then for each group the name of its run, the count of
-- its numbers, and their places in the block, each once.
-- `over` lists the states that a state may replace: see State::may_follow in src/core/ledger/sum.rs.
--
-- A group of which one key was overwritten is not counted, and that key is answered: the ledger must not hold
-- up the deliveries.
local names = {'done', 'duplicate', 'discarded', 'refused', 'dead'}
local over = {['1'] = '02345', ['2'] = '045', ['3'] = '045', ['4'] = '0', ['5'] = '04'}
local at
local function settle_group(state, runs, ttl, run, block, member, first, last)
  local get, set, fresh = {}, {}, 0
  for n = first, last do
    get[#get + 1], get[#get + 2], get[#get + 3] = 'GET', 'u4', '#' .. ARGV[n]
  end
  at = block
  local states = redis.call('BITFIELD', block, unpack(get))
  at = run
  for n, old in ipairs(states) do
    if string.find(over[state], tostring(old), 1, true) then
      local place = '#' .. ARGV[first - 1 + n]
      set[#set + 1], set[#set + 2], set[#set + 3], set[#set + 4] = 'SET', 'u4', place, state
      fresh = fresh + 1
      if old ~= 0 then redis.call('HINCRBY', run, names[old], -1) end
    end
  end
  if fresh > 0 then
    local count = redis.call('HINCRBY', run, names[tonumber(state)], fresh)
    redis.call('BITFIELD', block, unpack(set))
    if count == fresh then
      redis.call('PEXPIRE', run, ttl)
      redis.call('PEXPIRE', block, ttl)
      at = runs
      redis.call('SADD', runs, member)
    end
  end
end
local function settle(state, key, arg)
  local runs, ttl, unreadable = KEYS[key], ARGV[arg], {}
  key, arg = key + 1, arg + 1
  while KEYS[key] do
    local last = arg + 1 + tonumber(ARGV[arg + 1])
    local run, block, member = KEYS[key], KEYS[key + 1], ARGV[arg]
    local counted, failure = pcall(settle_group, state, runs, ttl, run, block, member, arg + 2, last)
    if not counted then
      if type(failure) ~= 'table' then failure = {err = failure} end
      if not string.find(failure.err, 'WRONGTYPE', 1, true) then error(failure) end
      unreadable[#unreadable + 1] = at
    end
    key, arg = key + 2, last + 1
  end
  return unreadable
end
