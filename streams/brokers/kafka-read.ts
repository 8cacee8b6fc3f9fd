import type { Fetched, ReadRange } from '../broker.ts'
import type { KafkaOptions, Log } from './kafka-client.ts'
import { Fetcher } from './kafka-fetcher.ts'
import { Link } from './kafka-link.ts'
import { keyOf, logRanges } from './kafka-offsets.ts'

/** Reads a range of one partition, a fetch at a time: while the caller works on one, at most one more is on its way. */
export async function* readRange(
  kafka: KafkaOptions & { readonly log: Log },
  { topic, partition, from, to, signal }: ReadRange,
): AsyncGenerator<Fetched> {
  const at = { topic, partition }
  const link = new Link(kafka, [topic])
  let arrived = Promise.withResolvers<Fetched>()
  const fail = (error: Error) => {
    arrived.promise.catch(() => {})
    arrived.reject(error)
  }
  const begin = async (offset: number): Promise<void> => {
    const [range] = await link.use(`reading ${keyOf(at)}`, (cluster) => logRanges(cluster, [at]))
    fetcher.add({ ...at, offset: Math.max(offset, range!.start) }, { paused: false })
  }
  const fetcher = new Fetcher({
    link,
    log: kafka.log,
    fetched(fetched) {
      fetcher.pause(at)
      arrived.resolve(fetched)
    },
    // Retention or deletion of records was faster.
    outOfRange: ({ offset }) => void begin(offset).catch(fail),
    failed: fail,
  })
  const aborted = () => fail(signal!.reason)
  signal?.addEventListener('abort', aborted)
  try {
    signal?.throwIfAborted()
    if (from >= to) return
    await begin(from)
    for (;;) {
      const fetched = await arrived.promise
      const records = fetched.records.filter(({ offset }) => offset < to)
      const next = Math.min(fetched.next, to)
      if (next > fetched.from) yield { ...fetched, records, next }
      if (fetched.next >= to || fetched.from >= to) return
      arrived = Promise.withResolvers()
      fetcher.resume(at)
    }
  } finally {
    signal?.removeEventListener('abort', aborted)
    fetcher.close()
    link.close()
  }
}
