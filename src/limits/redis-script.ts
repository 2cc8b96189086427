/**
 * How a limit is kept in Redis: one hash a key, `used` and when that was (`at`), for the sliding window also `before`. It runs
 * on the server, by the server's clock, so that clocks of holders do not matter, and gives as many calls as there are.
 *
 * KEYS: the key. ARGV: calls asked for, capacity, algorithm, milliseconds of the period, calls that come back a millisecond.
 * Answers as rate-limiter-flexible reads it: points used, above the capacity by as many as could not be given; and the time
 * to wait, or for which a window's calls are good, in milliseconds.
 */
export const leaseScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local asked, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local period, rate = tonumber(ARGV[4]), tonumber(ARGV[5])
local held = redis.call('HMGET', KEYS[1], 'used', 'at', 'before')
local used, at, before = tonumber(held[1] or 0), tonumber(held[2] or now), tonumber(held[3] or 0)
local wait, room, keep
if ARGV[3] == 'tokenBucket' then
  used = math.max(0, used - math.max(0, now - at) * rate)
  at = now
  room = capacity - used
else
  local start = now - now % period
  if at < start then
    before = at >= start - period and used or 0
    used = 0
  end
  at = start
  room = capacity - used
  if ARGV[3] == 'slidingWindow' then room = room - before * (1 - (now - start) / period) end
end
local granted = math.min(asked, math.max(0, math.floor(room + 0.000001)))
used = used + granted
if ARGV[3] == 'tokenBucket' then
  wait = granted < asked and math.ceil((used + 1 - capacity) / rate) or 0
  keep = math.ceil(used / rate) + 1000
else
  wait = at + period - now
  if ARGV[3] == 'slidingWindow' and granted < asked and before > 0 and used + 1 <= capacity then
    wait = math.min(wait, math.ceil(at + (1 - (capacity - used - 1) / before) * period - now))
  end
  keep = 2 * period
end
redis.call('HSET', KEYS[1], 'used', string.format('%.6f', used), 'at', string.format('%.0f', at), 'before', before)
redis.call('PEXPIRE', KEYS[1], keep)
if granted < asked then return { capacity + asked - granted, math.max(1, wait) } end
return { math.min(capacity, math.ceil(used)), math.max(0, wait) }
`;
