// The upstream server: node serve.mjs PORT [FOLDER]. Without a folder it keeps everything in memory.
// Ends with whoever started it: when its standard input is closed.
import { DurableStreamTestServer } from "@durable-streams/server"

const [port, dataDir] = process.argv.slice(2)
const longPollTimeout = Number(process.env.LONG_POLL_MS ?? 1500)
const server = new DurableStreamTestServer({ port: Number(port), host: "127.0.0.1", dataDir, longPollTimeout, webhooks: true })
await server.start()
console.log("listening")
process.stdin.on("end", () => process.exit(0)).resume()
