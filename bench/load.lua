-- What wrk sends: creates with fresh ids, or polls of known ones; every answer is looked at.
-- Arguments: create or poll, the expected status, the first eight digits of the ids, how many ids
-- are known (poll), and the mean pause of a connection in ms (0: none).
local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long sec; long nsec; } stamp;
  int clock_gettime(int clock, stamp *now);
]])
local now = ffi.new("stamp")
local threads = {}
local mode, salt, known, pause, counter

sent, wrong, example = 0, 0, ""

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  mode, expected, salt = args[1], tonumber(args[2]), args[3]
  known, pause, counter = tonumber(args[4]), tonumber(args[5]), 0
  wrk.headers["Content-Type"] = "application/json"
  if pause > 0 then
    -- Spread evenly around the mean, so that connections do not keep step.
    delay = function() return math.random(0, 2 * pause) end
  end
end

function request()
  counter = counter + 1
  sent = counter
  if mode == "poll" then
    -- From 2 on: wrk asks for one request before it begins, and does not send it.
    local id = string.format("%s-0000-4000-8000-%012x", salt, counter % known + 2)
    return wrk.format("GET", wrk.path .. id)
  end
  ffi.C.clock_gettime(1, now) -- CLOCK_MONOTONIC: the handler subtracts it from its own
  local ns = string.format("%d%09d", tonumber(now.sec), tonumber(now.nsec))
  local id = string.format("%s-0000-4000-8000-%012x", salt, counter)
  local body = '{"invokeType":"Manual","creationPayload":{"sent":' .. ns .. "}}"
  return wrk.format("POST", wrk.path .. id, nil, body)
end

function response(status, headers, body)
  if status ~= expected or (mode == "poll" and not body:find('"status":"', 1, true)) then
    wrong = wrong + 1
    example = string.format("%d %s", status, body:sub(1, 300))
  end
end

function done(summary, latency, requests)
  local errors, asked, bad, answer = summary.errors, 0, 0, ""
  for _, thread in ipairs(threads) do
    asked, bad = asked + thread:get("sent"), bad + thread:get("wrong")
    answer = thread:get("example")
  end
  if bad > 0 then io.write("wrong: ", answer, "\n") end
  io.write(string.format(
    '{"answers": %d, "seconds": %f, "sent": %d, "wrong": %d, "broken": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6, asked, bad,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
