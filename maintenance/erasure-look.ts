import { BUCKETS } from '../processors/index-contents.ts'
import type { Manifest } from '../processors/vector-index.ts'
import type { Receipt } from '../schemas/records.ts'
import { actions, control, deadLetters, documents, indexed, ingestPositions, redo, vectors } from '../schemas/topics.ts'
import { type DeadLetter, letterId, replayOf } from '../streams/dead-letters.ts'
import { Reject } from '../streams/errors.ts'
import type { SourcePosition } from '../streams/positions.ts'
import { openTable, type Table } from '../streams/table.ts'
import { nameIn } from '../streams/topic.ts'
import type { TopicConfig } from './erasure-bounds.ts'
import { type KeptLog, keptLog } from './erasure-log.ts'
import { concerns, type EraseWorld, type Subject } from './erasure-world.ts'

/** Everything that is known of what is to be erased: what the logs and the collections hold of it. */
export interface Look {
  readonly subject: Subject
  readonly documents: KeptLog
  /** One for each space. */
  readonly vectors: readonly KeptLog[]
  readonly indexed: KeptLog
  readonly redo: KeptLog
  readonly letters: KeptLog
  readonly sources: readonly KeptLog[]
  /** By key: the last one that was read. */
  readonly receipts: ReadonlyMap<string, Receipt>
  /** The entries that the dead letters of these keys belong to. */
  readonly letterIds: ReadonlySet<string>
  /** By collection, by key. */
  readonly held: ReadonlyMap<string, ReadonlyMap<string, Held>>
  /** By name: the settings of topics as they are. */
  readonly configs: ReadonlyMap<string, TopicConfig>
  /** Collections that no worker keeps up to date. */
  readonly unfollowed: ReadonlySet<string>
  /** Records of these keys that ingest has before it. */
  readonly behind: number
}

/** What a collection holds of a document. */
export interface Held {
  readonly manifest: Manifest | null
  /** Points, by id. */
  readonly chunks: readonly string[]
}

export interface Looking extends Look {
  /** Reads what is new in the logs, sources before what follows from them, then the collections. */
  again(signal?: AbortSignal): Promise<void>
  keys(): string[]
  close(): Promise<void>
}

export async function openLook(subject: Subject, world: EraseWorld): Promise<Looking> {
  const { broker, serde, scope, spaces, indexes, partitions } = world
  const isOurs = concerns(subject)
  const logOf = (name: string, seen?: Parameters<typeof keptLog>[3]) => keptLog(name, isOurs, broker, seen)
  const receipts = new Map<string, Receipt>()
  const letterIds = new Set<string>()
  const logs = {
    documents: logOf(nameIn(scope, documents)),
    vectors: spaces.map((space) => logOf(nameIn({ ...scope, space }, vectors))),
    indexed: logOf(nameIn(scope, indexed), async (key, { value }) => {
      if (value === null) receipts.delete(key)
      else await readable(async () => receipts.set(key, (await serde.decode(indexed, value)) as Receipt))
    }),
    redo: logOf(nameIn(scope, redo)),
    letters: logOf(nameIn(scope, deadLetters), async (_, { value }) => {
      if (value === null) return
      await readable(async () => {
        const letter = (await serde.decode(deadLetters, value)) as DeadLetter
        letterIds.add(replayOf(letter.headers) ?? letterId(letter))
      })
    }),
    sources: world.sources.map((topic) => logOf(nameIn(scope, topic))),
  }
  const known = [
    ...Object.values(logs)
      .flat()
      .map(({ topic }) => topic),
    nameIn(scope, control),
    nameIn(scope, actions),
  ]
  const configs = new Map<string, TopicConfig>()
  for (const name of known) configs.set(name, await broker.admin.topicConfig(name))
  const ids = new Map((await broker.admin.topics()).map(({ name, id }) => [name, id]))
  let failure: Error | null = null
  const positions = await openTable(ingestPositions, { broker, serde, scope, failed: (error) => (failure = error) })
  const held = new Map<string, ReadonlyMap<string, Held>>()
  let behind = 0
  /** Of a tenant: what only collections know. */
  const entries = new Set<string>('keys' in subject ? subject.keys : [])
  if ('tenant' in subject)
    for (const index of indexes)
      for (let partition = 0; partition < partitions; partition++)
        for await (const page of index.manifests({ partition, from: 0, to: BUCKETS }))
          for (const { key } of page) if (isOurs(key)) entries.add(key)

  const keys = (): string[] => {
    const inLogs = [logs.documents, ...logs.vectors, logs.indexed, logs.redo].flatMap((log) => [...log.keys.keys()])
    return [...new Set([...entries, ...inLogs])].sort()
  }

  return {
    subject,
    ...logs,
    receipts,
    letterIds,
    held,
    configs,
    unfollowed: new Set(indexes.filter(({ followed }) => !followed).map(({ collection }) => collection)),
    keys,
    get behind() {
      return behind
    },
    async again(signal) {
      for (const source of logs.sources) await source.read(signal)
      await positions.sync()
      if (failure !== null) throw failure
      behind = logs.sources.reduce((sum, source) => sum + waiting(source, ids.get(source.topic) ?? '', positions), 0)
      for (const log of [logs.documents, ...logs.vectors, logs.indexed, logs.redo, logs.letters]) await log.read(signal)
      const all = keys()
      for (const index of indexes) {
        const found = new Map<string, Held>()
        for (let first = 0; first < all.length; first += KEYS_AT_ONCE) {
          signal?.throwIfAborted()
          const some = all.slice(first, first + KEYS_AT_ONCE)
          const manifests = await index.manifestsOf(some)
          const chunks = Map.groupBy(await index.chunksOf(some), ({ payload }) => payload?.key ?? '')
          for (const [i, key] of some.entries())
            found.set(key, { manifest: manifests[i]!, chunks: (chunks.get(key) ?? []).map(({ id }) => id) })
        }
        held.set(index.collection, found)
      }
    },
    close: () => positions.close(),
  }
}

const KEYS_AT_ONCE = 100

/** Records of a source, of keys that concern us, that are not handled: only the last one of each partition is looked at. */
function waiting({ keys }: KeptLog, topicId: string, positions: Table<SourcePosition>): number {
  let count = 0
  for (const { latest } of keys.values())
    for (const [partition, { offset }] of latest)
      if ((positions.get(`${topicId}/${partition}`)?.next ?? 0) <= offset) count++
  return count
}

/** What nobody can read names nothing. */
async function readable(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Reject)) throw error
  }
}
