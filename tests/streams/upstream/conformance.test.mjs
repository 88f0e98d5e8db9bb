// The official suite, subscriptions too, against SERVER_URL/v1/stream/….
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({
  baseUrl: process.env.SERVER_URL,
  longPollTimeoutMs: Number(process.env.LONG_POLL_MS),
  subscriptions: true,
})
