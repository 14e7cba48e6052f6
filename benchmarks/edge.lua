-- Requests for benchmarks/edge.py: prepared once, then sent in turn.
-- BODY_BYTES, REQUESTS (how many different ones), DISTINCT_HEADERS (1: each has its own header block), THINK_MS.
local body_bytes = tonumber(os.getenv("BODY_BYTES"))
local count = tonumber(os.getenv("REQUESTS"))
local think_ms = tonumber(os.getenv("THINK_MS"))
local prepared, at = {}, 0

math.randomseed(7)

local function random_bytes(size)
  local out = {}
  for i = 1, size do out[i] = string.char(math.random(0, 255)) end
  return table.concat(out)
end

function init()
  local noise = random_bytes(body_bytes + count)
  for i = 1, count do
    local id = string.format("%08x-8a1a-4fca-b380-%012x", i, i)
    local path = "/submit/telemetry/" .. id .. "/main/Firefox/153.0/release/20261101000000?v=4"
    local headers = {
      ["Content-Type"] = "application/json; charset=UTF-8",
      ["Content-Encoding"] = "gzip",
      ["Date"] = "Mon, 23 Nov 2026 08:35:07 GMT",
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
      ["X-Forwarded-For"] = "203.0.113.7",
    }
    if os.getenv("DISTINCT_HEADERS") == "1" then
      headers["X-Forwarded-For"] = string.format("10.%d.%d.%d", i % 200, math.floor(i / 200) % 200, i % 251)
    end
    prepared[i] = wrk.format("POST", path, headers, noise:sub(i, i + body_bytes - 1))
  end
end

function request()
  at = at % count + 1
  return prepared[at]
end

if think_ms > 0 then
  function delay()
    return math.floor(math.random() * 2 * think_ms + 0.5)
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %f %f %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
