import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import WebSocket from 'ws'
import { cleanDocument } from '../../processors/clean-text.ts'
import { documents } from '../../schemas/topics.ts'
import type { SlowReading } from '../../services/query/unread.ts'
import type { LoadEvent } from '../load-events.ts'
import type { Platform, QueryRole } from '../platform.ts'
import { until } from '../until.ts'

/**
 * A client that asks and does not read, until the server says that it has cut it off for this bound. Then it reads again, and so hears
 * the close code, which is the answer: one that was taken for dead by its pings would hear none, and is counted nowhere.
 */
export async function slowReader(query: QueryRole, bound: SlowReading): Promise<number> {
  const socket = new WebSocket(query.url, 'freshet.v1+json')
  socket.on('error', () => {})
  await once(socket, 'message')
  const other = bound === 'bytes' ? 'seconds' : 'bytes'
  const before = { [bound]: await cutOffs(query, bound), [other]: await cutOffs(query, other) }
  socket.pause()
  let asked = 0
  const ask = () =>
    socket.send(JSON.stringify({ type: 'search', id: `s${asked++}`, query: LARGE_TEXT, mode: 'keyword', k: HITS }))
  // What the kernel holds for it is not the server's.
  await until(
    'something waits for the slow reader',
    async () => {
      const waiting = await query.metric('freshet_unread_bytes')
      if (waiting >= ANSWER_BYTES_MIN) return true
      ask()
      await delay(ASK_EVERY_MS)
      return `${waiting} bytes wait after ${asked} questions`
    },
    PATIENCE_MS,
  )
  if (bound === 'bytes') for (let i = 0; i < FLOOD_ANSWERS; i++) ask()
  await until(
    `the slow reader is cut off for its ${bound}`,
    async () => {
      if ((await cutOffs(query, other)) > before[other]!)
        throw new Error(`it was cut off for its ${other}, not its ${bound}`)
      return (await cutOffs(query, bound)) > before[bound]!
    },
    PATIENCE_MS,
  )
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
  socket.resume()
  const [code] = (await closed) as [number]
  return code
}

/** Clients that were cut off since the process began. */
export const cutOffs = (query: QueryRole, bound?: SlowReading): Promise<number> =>
  query.metric('freshet_slow_readers_total', bound && { bound })

/** Small to embed and large to send: the answer to a slow reader. */
export function largeDocuments({ serde }: Platform): LoadEvent[] {
  return Array.from({ length: HITS }, (_, i) => {
    const document = cleanDocument({
      text: `${LARGE_TEXT} Its number is ${i}.`,
      contentType: null,
      title: null,
      url: null,
      language: null,
      attributes: Object.fromEntries(
        Array.from({ length: ATTRIBUTES }, (_, n) => [`blob${n}`, String(i).repeat(ATTRIBUTE_CHARS)]),
      ),
    })
    return {
      door: 'documents',
      key: `acme/large-${i}`,
      value: serde.encode(documents, document),
      meant: { kind: 'document', document },
      misplaced: false,
    }
  })
}

/** Few and large, so that an answer costs the index little. */
const HITS = 10
const LARGE_TEXT = 'A large document for the slow reader.'
const ATTRIBUTES = 20
const ATTRIBUTE_CHARS = 4_000
/** Of one answer. */
const ANSWER_BYTES_MIN = HITS * ATTRIBUTES * ATTRIBUTE_CHARS
/** Twice what the server keeps for a client. */
const FLOOD_ANSWERS = 12
/** Each answered before the next is asked for, as a rule: a reader that is to be cut off for its seconds stays under the bound of bytes. */
const ASK_EVERY_MS = 2_000
const PATIENCE_MS = 60_000
