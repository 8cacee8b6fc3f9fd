import type { Broker, StoredRecord } from '../streams/broker.ts'

/** What one topic holds of some keys: read to its end, and each time on from there. */
export interface KeptLog {
  readonly topic: string
  readonly keys: ReadonlyMap<string, Kept>
  read(signal?: AbortSignal): Promise<void>
}

export interface Kept {
  /** Records with a value, and without one. */
  readonly values: number
  readonly deletions: number
  /** When the last of each was written, ms since 1970. */
  readonly valueAt: number | null
  readonly deletedAt: number | null
  /** By partition: nobody keeps a foreign producer from writing a key where it does not belong. */
  readonly latest: ReadonlyMap<number, Latest>
}

export interface Latest {
  readonly offset: number
  readonly timestamp: number
  readonly deletes: boolean
}

export function keptLog(
  topic: string,
  concerns: (key: string) => boolean,
  broker: Pick<Broker, 'admin' | 'read'>,
  seen: (key: string, record: StoredRecord) => Promise<void> = async () => {},
): KeptLog {
  const keys = new Map<string, Kept>()
  const next = new Map<number, number>()

  const fold = (key: string, { partition, offset, timestamp, value }: StoredRecord): void => {
    const { values, deletions, valueAt, deletedAt, latest } = keys.get(key) ?? NOTHING
    const deletes = value === null
    keys.set(key, {
      values: values + (deletes ? 0 : 1),
      deletions: deletions + (deletes ? 1 : 0),
      valueAt: deletes ? valueAt : Math.max(valueAt ?? 0, timestamp),
      deletedAt: deletes ? Math.max(deletedAt ?? 0, timestamp) : deletedAt,
      latest: new Map(latest).set(partition, { offset, timestamp, deletes }),
    })
  }

  return {
    topic,
    keys,
    async read(signal) {
      for (const { partition, start, end } of await broker.admin.offsets(topic)) {
        const from = Math.max(start, next.get(partition) ?? start)
        if (from < end)
          for await (const { records } of broker.read({ topic, partition, from, to: end, ...(signal && { signal }) }))
            for (const record of records) {
              const key = record.key?.toString('utf8')
              if (key === undefined || !concerns(key)) continue
              fold(key, record)
              await seen(key, record)
            }
        next.set(partition, end)
      }
    },
  }
}

const NOTHING: Kept = { values: 0, deletions: 0, valueAt: null, deletedAt: null, latest: new Map() }

/** Whether any partition's last word on the key is a value. */
export const lives = (kept: Kept | undefined): boolean =>
  kept !== undefined && [...kept.latest.values()].some(({ deletes }) => !deletes)
