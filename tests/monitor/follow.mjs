// Reads one page at a time as test_monitor.py asks for it, a command a line.
import { createInterface } from 'node:readline'
import { EventsError, followEvents } from '../../python/turnkeep/monitor/events.js'

const [url, key, cursor] = process.argv.slice(2)
const aborter = new AbortController()
const pages = followEvents({
  url, key, cursor: cursor === 'null' ? null : cursor, every: 5, signal: aborter.signal,
})
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'stop') break
  try {
    const { value } = await pages.next()
    console.log(JSON.stringify(value))
  } catch (error) {
    if (!(error instanceof EventsError)) throw error
    console.log(JSON.stringify({ status: error.status, code: error.code }))
  }
}
aborter.abort()
console.log(JSON.stringify(await pages.next()))
