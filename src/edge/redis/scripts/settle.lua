-- settle(state, key, arg): gives numbers of the ledger a state. A part of other scripts.
--
-- From KEYS[key] on: the root of the ledger, the set of runs, then a run and a block for each group of
-- numbers. From ARGV[arg] on: the moment since which the caller believes that this Redis counts, the time to
-- live of states in ms, then for each group the name of its run, the count of its words, and for each word
-- its place in the block, as BITFIELD takes it, and its numbers. A word holds the states of 8 numbers, the
-- first in the highest bits. One bit for each says whether it is to be settled, in the same order.
-- The caller sends at most CALL_MAX words (src/edge/redis/scripts.rs), so that a call takes milliseconds. Lua
-- passes at most 8,000 arguments, and a word takes four.
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
local over = {'02345', '045', '045', '0', '04'}
-- A block expires after its run, if its states came with those that prolonged the run.
local LONGER = 3600000
local at
local function settle_group(state, runs, ttl, run, block, member, first, last)
  local get, set, fresh, moved, replaced = {}, {}, 0, {}, {}
  for old in string.gmatch(over[state], '%d') do replaced[tonumber(old)] = true end
  for n = first, last, 2 do
    get[#get + 1], get[#get + 2], get[#get + 3] = 'GET', 'u32', ARGV[n]
  end
  at = block
  for n, word in ipairs(redis.call('BITFIELD', block, unpack(get))) do
    local rest, numbers, weight, new = word, tonumber(ARGV[first + 2 * n - 1]), 1, word
    while numbers > 0 do
      local old = rest % 16
      if numbers % 2 == 1 and replaced[old] then
        new, fresh = new + (state - old) * weight, fresh + 1
        if old ~= 0 then moved[old] = (moved[old] or 0) + 1 end
      end
      rest, numbers, weight = math.floor(rest / 16), math.floor(numbers / 2), weight * 16
    end
    if new ~= word then
      set[#set + 1], set[#set + 2], set[#set + 3], set[#set + 4] = 'SET', 'u32', get[3 * n], new
    end
  end
  if fresh == 0 then return end
  at = run
  local count = redis.call('HINCRBY', run, names[state], fresh)
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
    redis.call('HINCRBY', run, names[state], -fresh)
    for old, several in pairs(moved) do redis.call('HINCRBY', run, names[old], several) end
    error(failure)
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
    local last = arg + 1 + 2 * ARGV[arg + 1]
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
