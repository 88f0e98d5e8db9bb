-- For wrk: appends of JSON messages of 200 bytes. Arguments: path prefix, number of streams, messages per request.
local requests, at, count = {}, 0, 1

function init(arguments)
   local prefix, batch = arguments[1], tonumber(arguments[3])
   count = tonumber(arguments[2])
   local body = '{"t":1700000000000,"user":"u-0000000001","op":"set","path":"/doc/blocks/17/text","value":"'
      .. string.rep("x", 108) .. '"}'
   if batch > 1 then
      body = "[" .. body .. string.rep("," .. body, batch - 1) .. "]"
   end
   -- Made once: the load shares the processors with the server that it measures.
   for stream = 1, count do
      requests[stream] = wrk.format("POST", prefix .. (stream - 1), { ["Content-Type"] = "application/json" }, body)
   end
end

function request()
   at = at % count + 1
   return requests[at]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format('{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
