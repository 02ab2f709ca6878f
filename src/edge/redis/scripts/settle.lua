-- settle(state, key, arg): gives numbers of the ledger a state. A part of other scripts.
--
-- From KEYS[key] on: the root of the ledger, the set of runs, then a run and a block for each group of
-- numbers. From ARGV[arg] on: the moment since which the caller believes that this Redis counts, the time to
-- live of states in ms, then for each group the name of its run, the count of its numbers, and their places
-- in the block, each once. The caller sends at most CALL_MAX numbers (src/edge/redis/scripts.rs), so that a
-- call takes milliseconds.
-- `over` lists the states that a state may replace: see State::may_follow in src/core/ledger/sum.rs.
--
-- A group of which one key was overwritten is not counted, and that key is answered: the ledger must not
-- hold up the deliveries. Any other error fails the call. It leaves no group half counted: what was counted
-- is taken back if the states cannot be written, and the command that takes it back was permitted a moment
-- ago.
--
-- Fails if the ledger is gone or counts from another moment: what is counted under the old one would be
-- missing from the sum for good.
local names = {'done', 'duplicate', 'discarded', 'refused', 'dead'}
local over = {['1'] = '02345', ['2'] = '045', ['3'] = '045', ['4'] = '0', ['5'] = '04'}
-- Numbers at a time: Lua passes at most 8,000 arguments, and a state takes four.
local SLICE = 500
-- A block expires after its run, if its states came with those that prolonged the run.
local LONGER = 3600000
local at
local function settle_slice(state, runs, ttl, run, block, member, first, last)
  local get, set, fresh, moved = {}, {}, 0, {}
  for n = first, last do
    get[#get + 1], get[#get + 2], get[#get + 3] = 'GET', 'u4', '#' .. ARGV[n]
  end
  at = block
  local states = redis.call('BITFIELD', block, unpack(get))
  for n, old in ipairs(states) do
    if string.find(over[state], tostring(old), 1, true) then
      local place = '#' .. ARGV[first - 1 + n]
      set[#set + 1], set[#set + 2], set[#set + 3], set[#set + 4] = 'SET', 'u4', place, state
      fresh = fresh + 1
      if old ~= 0 then moved[old] = (moved[old] or 0) + 1 end
    end
  end
  if fresh == 0 then return end
  at = run
  local count = redis.call('HINCRBY', run, names[tonumber(state)], fresh)
  for old, several in pairs(moved) do redis.call('HINCRBY', run, names[old], -several) end
  local written, failure = pcall(function()
    if count == fresh then
      redis.call('PEXPIRE', run, ttl)
      at = runs
      redis.call('SADD', runs, member)
    end
    at = block
    local new = redis.call('PTTL', block) < 0
    redis.call('BITFIELD', block, unpack(set))
    if new or count == fresh then redis.pcall('PEXPIRE', block, ttl + LONGER) end
  end)
  if not written then
    redis.call('HINCRBY', run, names[tonumber(state)], -fresh)
    for old, several in pairs(moved) do redis.call('HINCRBY', run, names[old], several) end
    error(failure)
  end
end
local function settle_group(state, runs, ttl, run, block, member, first, last)
  for from = first, last, SLICE do
    settle_slice(state, runs, ttl, run, block, member, from, math.min(from + SLICE - 1, last))
  end
end
local function overwritten(failure)
  if type(failure) == 'table' then failure = failure.err end
  return string.find(failure, 'WRONGTYPE', 1, true)
end
local function settle(state, key, arg)
  local root, runs, since, ttl, unreadable = KEYS[key], KEYS[key + 1], ARGV[arg], ARGV[arg + 1], {}
  local counts, found = pcall(redis.call, 'HGET', root, 'since')
  if not counts then
    if overwritten(found) then return {root} end
    error(found)
  end
  if found ~= since then return redis.error_reply('GONE the ledger is gone') end
  key, arg = key + 2, arg + 2
  while KEYS[key] do
    local last = arg + 1 + tonumber(ARGV[arg + 1])
    local run, block, member = KEYS[key], KEYS[key + 1], ARGV[arg]
    local counted, failure = pcall(settle_group, state, runs, ttl, run, block, member, arg + 2, last)
    if not counted then
      if not overwritten(failure) then error(failure) end
      unreadable[#unreadable + 1] = at
    end
    key, arg = key + 2, last + 1
  end
  return unreadable
end
