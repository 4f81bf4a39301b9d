-- What wrk's clients send: each request says something else, under one of so many keys in turn.
--
-- Arguments: the path; the body, with %s for each group of three digits, of the key (two) and of the
-- request's number (four); the number of the first request; how many keys; "plain" or "base64". At a
-- multiple of three bytes, three digits are four letters of base64, so only groups are encoded here.

local path, body, keys
local groups = {}
local threads = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(three)
  local a, b, c = three:byte(1, 3)
  local bits = a * 65536 + b * 256 + c
  local letters = ""
  for place = 3, 0, -1 do
    local at = math.floor(bits / 64 ^ place) % 64
    letters = letters .. ALPHABET:sub(at + 1, at + 1)
  end
  return letters
end

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  path, body, keys = args[1], args[2], tonumber(args[4])
  next_number = tonumber(args[3])  -- global, so that `done` can ask for it
  for value = 0, 999 do
    local digits = string.format("%03d", value)
    groups[value] = args[5] == "base64" and base64(digits) or digits
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

local function group(value, place)
  return groups[math.floor(value / 1000 ^ place) % 1000]
end

function request()
  local n = next_number
  next_number = n + 1
  local key = n % keys
  local text = string.format(body, group(key, 1), group(key, 0),
    group(n, 3), group(n, 2), group(n, 1), group(n, 0))
  return wrk.format(nil, path, nil, text)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"took_us":%d,"next":%d,"refused":%d,"broken":%d,' ..
    '"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, threads[1]:get("next_number"),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
