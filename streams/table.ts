import type { Broker, Fetched } from './broker.ts'
import { type Clock, systemClock } from './clock.ts'
import { Reject, Retry } from './errors.ts'
import type { Serde } from './serde.ts'
import { nameIn, type Scope, type Topic } from './topic.ts'

/** A compacted topic as a map: its latest value for each key, as the topic's `isOlder` has it, read whole and then followed. */
export interface Table<V> {
  get(key: string): V | undefined
  entries(): Iterable<readonly [string, V]>
  /** Resolves when everything that was in the topic at the time of the call is in the table. */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface TableOptions<V> {
  readonly broker: Broker
  readonly serde: Serde
  readonly scope: Scope
  /** Told each change, after the table has it. `value` is undefined when the key is gone. */
  changed?(key: string, value: V | undefined, at: { partition: number; offset: number }): void
  /** Told each value that does not count, since it is older than the one that the table keeps. */
  ignored?(key: string): void
  failed(error: Error): void
  readonly clock?: Clock
}

export async function openTable<V>(
  topic: Topic<V>,
  { broker, serde, scope, changed, ignored, failed, clock = systemClock }: TableOptions<V>,
): Promise<Table<V>> {
  const name = nameIn(scope, topic)
  const values = new Map<string, V>()
  const next = new Map<number, number>()
  const waiting = new Set<() => void>()
  let work = Promise.resolve()

  const decode = async (bytes: Buffer): Promise<V> => {
    for (;;) {
      try {
        return (await serde.decode(topic, bytes)) as V
      } catch (error) {
        if (!(error instanceof Retry)) throw error
        await clock.wait(error.retryAfterMs)
      }
    }
  }

  const apply = async (fetched: Fetched): Promise<void> => {
    for (const { key, value, offset } of fetched.records) {
      if (key === null) continue
      const text = key.toString('utf8')
      if (value === null) {
        values.delete(text)
        changed?.(text, undefined, { partition: fetched.partition, offset })
        continue
      }
      try {
        const decoded = await decode(value)
        const present = values.get(text)
        if (present !== undefined && topic.isOlder?.(decoded, present)) {
          ignored?.(text)
          continue
        }
        values.set(text, decoded)
        changed?.(text, decoded, { partition: fetched.partition, offset })
      } catch (error) {
        // What nobody can read says nothing; the last readable value stays.
        if (!(error instanceof Reject)) throw error
      }
    }
    next.set(fetched.partition, Math.max(fetched.next, next.get(fetched.partition) ?? 0))
    for (const wake of [...waiting]) wake()
  }

  const tail = await broker.tail({
    topics: [name],
    from: 'start',
    failed,
    fetched(batch) {
      work = work.then(() => apply(batch)).catch((error) => failed(error))
    },
  })

  return {
    get: (key) => values.get(key),
    entries: () => values.entries(),
    async sync() {
      const ends = await broker.admin.offsets(name)
      const behind = () => ends.some(({ partition, start, end }) => end > start && (next.get(partition) ?? 0) < end)
      while (behind()) {
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake)
            resolve()
          }
          waiting.add(wake)
        })
      }
    },
    close: () => tail.close(),
  }
}
