-- What wrk's clients ask: one of so many things, at random, each request made before the load begins.
--
-- Arguments: the method; the path and the body, with %s for what is asked (the body may be empty);
-- how many things there are; "plain" or "base64"; what they are called, with %05d for the number.

local requests = {}
local count

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local letters = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local digit = math.floor(bits / 64 ^ place) % 64
      local is_padding = (place == 0 and not c) or (place == 1 and not b)
      letters[#letters + 1] = is_padding and "=" or ALPHABET:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(letters)
end

function init(args)
  local method, path, body = args[1], args[2], args[3]
  count = tonumber(args[4])
  wrk.headers["Content-Type"] = body ~= "" and "application/json" or nil
  for number = 0, count - 1 do
    local name = string.format(args[6], number)
    if args[5] == "base64" then name = base64(name) end
    local content = body ~= "" and body:gsub("%%s", name) or nil
    requests[number] = wrk.format(method, (path:gsub("%%s", name)), nil, content)
  end
end

function request()
  return requests[math.random(0, count - 1)]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"took_us":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
