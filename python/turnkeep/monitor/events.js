// The stream of events over the REST gateway, for Node, Deno and browsers.
//
//   for await (const page of followEvents({ url, key })) {
//     for (const event of page.events) console.log(event.kind, event.subject)
//     save(page.cursor)   // whoever goes on from here has missed nothing
//   }
//
// url is the project's, such as https://xyz.supabase.co; key the service's, so this is
// for servers. wait(milliseconds) is called when there is no more: let it return early,
// on a broadcast to topic turnkeep:events, and events come at once.

/** What the gateway answered instead of a page: status, code (SQLSTATE), details, hint. */
export class EventsError extends Error {
  constructor(status, body) {
    super(body.message ?? `the gateway answered ${status}`)
    this.name = 'EventsError'
    this.status = status
    this.code = body.code
    this.details = body.details
    this.hint = body.hint
  }
}

const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds)
    function done() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done)
  })

/** Read one page: { events, cursor, more, missed }. Throws EventsError. */
export async function listEvents({
  url, key, cursor = null, kinds = null, ownerId = null, pageSize = 100,
  signal, fetch = globalThis.fetch,
}) {
  const answer = await fetch(`${url}/rest/v1/rpc/list_events`, {
    method: 'POST',
    headers: {
      apikey: key, authorization: `Bearer ${key}`, 'content-type': 'application/json',
    },
    body: JSON.stringify({ cursor, page_size: pageSize, kinds, owner_id: ownerId }),
    signal,
  })
  if (answer.ok) return answer.json()
  throw new EventsError(answer.status, await answer.json().catch(() => ({})))
}

/**
 * Give page after page from cursor on ('now' for events to come, null for the oldest
 * that are kept), until the signal is aborted. What is busy or unreachable is asked
 * again, later each time; anything else that is wrong is thrown.
 */
export async function* followEvents({
  cursor = 'now', every = 1000, wait = pause, signal, ...rest
}) {
  let failures = 0
  while (!signal?.aborted) {
    let page
    try {
      page = await listEvents({ ...rest, cursor, signal })
      failures = 0
    } catch (error) {
      if (signal?.aborted) return
      if (error instanceof EventsError && error.status < 500) throw error
      failures += 1
      await wait(Math.min(every * 2 ** failures, 30_000), signal)
      continue
    }
    cursor = page.cursor
    yield page
    if (!page.more && !signal?.aborted) await wait(every, signal)
  }
}
