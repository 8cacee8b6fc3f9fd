import { actions, control, deadLetters } from '../schemas/topics.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import {
  type Bound,
  deletionGone,
  goneByCompaction,
  goneByTime,
  latestOf,
  rollMs,
  type TopicConfig,
} from './erasure-bounds.ts'
import { type KeptLog, lives } from './erasure-log.ts'
import type { Look } from './erasure-look.ts'
import { deletionOf, isForgotten } from './erasure-plan.ts'
import { namesOf } from './erasure-world.ts'

/** What became of every place where something of the documents can lie. It names no key itself. */
export interface ErasureReceipt {
  /** `sha256:` of each key, or `tenants/<tenant>`. */
  readonly of: readonly string[]
  readonly documents: number
  /** All is done that can be done at once: nothing is served, and nothing is on its way. */
  readonly complete: boolean
  /** What is not done yet, in words. */
  readonly open: readonly string[]
  readonly places: readonly PlaceReceipt[]
  /** ms since 1970: run again then, the same erasure removes the entries that hold the keys in the index. null: nothing is left to remove; or no bound. */
  readonly againAfter: number | null
  /** ms since 1970: in a partition where nothing was written since, Kafka compacts nothing; run again then, the same erasure writes there. null: nothing is left. */
  readonly nudgeAfter: number | null
}

export interface PlaceReceipt {
  readonly place: string
  /** empty: nothing of them is there. going: it goes by itself. open: it is not done. again: the same erasure is to be run again. unbounded: a setting is missing. outside: not ours to erase. */
  readonly state: 'empty' | 'going' | 'open' | 'again' | 'unbounded' | 'outside'
  readonly done: string
  /** Copies of content that are there, and records or entries that hold the key alone. */
  readonly contents: number
  readonly keys: number
  /** ms since 1970: by when they are gone. */
  readonly contentsUntil: number | null
  readonly keysUntil: number | null
  /** What that rests on. */
  readonly why: string
  /** How one sees for oneself. */
  readonly check: string
}

interface Situation {
  readonly scope: Scope
  readonly partitions: number
  readonly now: number
  readonly open: readonly string[]
}

/** Pure: the same state of the world gives the same receipt. */
export function receiptOf(keys: readonly string[], look: Look, situation: Situation): ErasureReceipt {
  const { scope, partitions, now, open } = situation
  const { documents, vectors, indexed, redo, letters, sources, held, subject } = look
  const configOf = (topic: string): TopicConfig => look.configs.get(topic) ?? {}
  const deletedAt =
    keys.reduce((last, key) => Math.max(last, deletionOf(key, look, partitions)?.timestamp ?? 0), 0) || now
  const compactedPlace = (log: KeptLog, done: string): PlaceReceipt =>
    compacted(log, done, configOf(log.topic), deletedAt)
  const timedPlace = (log: KeptLog, done: string): PlaceReceipt => timed(log, done, configOf(log.topic), deletedAt)
  const logs = [
    ...sources.map((log) => timedPlace(log, 'nothing: a single record cannot be taken out')),
    compactedPlace(documents, 'deleted'),
    ...vectors.map((log) => compactedPlace(log, 'deleted')),
    timedPlace(redo, 'nothing: a single record cannot be taken out'),
    compactedPlace(indexed, 'deleted'),
    timedPlace(letters, 'hidden: dlq neither lists nor shows nor replays them'),
  ]
  const bounds = logs
    .filter(({ place }) => place !== letters.topic && place !== indexed.topic)
    .filter(({ contents, keys: count }) => contents + count > 0)
    .map(
      ({ contentsUntil, keysUntil, why }): Bound =>
        latestOf([contentsUntil, keysUntil].flatMap((at) => (at === null ? [] : [{ at, why }]))) ?? { at: null, why },
    )
  const forgettable = latestOf(bounds)
  const entries = [...held].map(([collection, index]): PlaceReceipt => {
    const chunks = [...index.values()].reduce((sum, each) => sum + each.chunks.length, 0)
    const manifests = [...index].filter(([, { manifest }]) => manifest !== null)
    return {
      place: `collection ${collection}`,
      state: chunks > 0 ? 'open' : manifests.length === 0 ? 'empty' : 'again',
      done: 'chunks removed; an entry without content stays as long as a log names the key',
      contents: chunks,
      keys: manifests.length,
      contentsUntil: null,
      keysUntil: manifests.length === 0 ? null : (forgettable?.at ?? now),
      why: 'an entry keeps older versions from coming back; when no log names the key, run this again: it removes it',
      check: 'run the same erasure with --dry-run',
    }
  })
  const left = keys.filter((key) => !isForgotten(key, look))
  const nudge = [documents, ...vectors].some((log) => contentsOf(log) > 0)
  return {
    of: namesOf(subject),
    documents: keys.length,
    complete: open.length === 0,
    open,
    places: [...logs, ...entries, ...administrative(look, scope, configOf(nameIn(scope, actions)), now), ...outside],
    againAfter: left.length === 0 || forgettable === null ? null : forgettable.at,
    nudgeAfter: nudge ? deletedAt + rollMs(configOf(documents.topic)) : null,
  }
}

const contentsOf = ({ keys }: KeptLog): number => sum([...keys.values()].map(({ values }) => values))
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

function compacted(log: KeptLog, done: string, config: TopicConfig, deletedAt: number): PlaceReceipt {
  const kept = [...log.keys.values()]
  const contents = contentsOf(log)
  const deletions = sum(kept.map((each) => each.deletions))
  const at = kept.reduce((last, each) => Math.max(last, each.deletedAt ?? 0), 0) || deletedAt
  const value = goneByCompaction(config, at)
  const key = deletionGone(config, at)
  const nothing = contents + deletions === 0
  return {
    place: log.topic,
    state: nothing ? 'empty' : kept.some(lives) ? 'open' : value.at === null ? 'unbounded' : 'going',
    done: nothing ? 'nothing' : done,
    contents,
    keys: deletions,
    contentsUntil: contents > 0 ? value.at : null,
    keysUntil: nothing ? null : key.at,
    why: value.at === null ? value.why : `${value.why}; then ${key.why}`,
    check: `kafka-console-consumer.sh --topic ${log.topic} --from-beginning --property print.key=true: no record of the key`,
  }
}

function timed(log: KeptLog, done: string, config: TopicConfig, deletedAt: number): PlaceReceipt {
  const kept = [...log.keys.values()]
  const contents = sum(kept.map(({ values, deletions }) => values + deletions))
  const written = kept.reduce((last, each) => Math.max(last, each.valueAt ?? 0, each.deletedAt ?? 0), 0)
  // What producers date says not when they wrote it: no later than it was deleted.
  const bound = goneByTime(
    config,
    config['message.timestamp.type'] === 'LogAppendTime' ? written : Math.max(written, deletedAt),
  )
  return {
    place: log.topic,
    state: contents === 0 ? 'empty' : bound.at === null ? 'unbounded' : 'going',
    done: contents === 0 ? 'nothing' : done,
    contents,
    keys: 0,
    contentsUntil: contents === 0 ? null : bound.at,
    keysUntil: null,
    why: bound.why,
    check: `kafka-console-consumer.sh --topic ${log.topic} --from-beginning --property print.key=true: no record of the key`,
  }
}

/** Where no key of a document lies. */
function administrative({ subject }: Look, scope: Scope, config: TopicConfig, now: number): PlaceReceipt[] {
  const nothing = { contents: 0, contentsUntil: null, keysUntil: null }
  const isTenant = 'tenant' in subject
  const bound = goneByTime(config, now)
  return [
    {
      ...nothing,
      place: nameIn(scope, control),
      state: isTenant ? 'outside' : 'empty',
      done: isTenant ? 'nothing is admitted of the tenant; its API keys are revoked and have no name' : 'nothing',
      keys: isTenant ? 1 : 0,
      why: `that the tenant was erased is kept, and decisions about ${deadLetters.name} by their ids`,
      check: 'freshet keys list',
    },
    {
      ...nothing,
      place: nameIn(scope, actions),
      state: isTenant ? (bound.at === null ? 'unbounded' : 'going') : 'empty',
      done: isTenant
        ? 'that the tenant was erased is written down'
        : 'that it was erased is written down, by the SHA-256 of the key',
      keys: isTenant ? 1 : 0,
      why: bound.why,
      check: `kafka-console-consumer.sh --topic ${nameIn(scope, actions)} --from-beginning`,
    },
  ]
}

const elsewhere = (place: string, done: string, why: string, check: string): PlaceReceipt => ({
  place,
  state: 'outside',
  done,
  contents: 0,
  keys: 0,
  contentsUntil: null,
  keysUntil: null,
  why,
  check,
})

const outside: readonly PlaceReceipt[] = [
  elsewhere(
    'memory of workers',
    'nothing: vectors by the SHA-256 of their text, without key or text',
    'until other vectors take their place (FRESHET_VECTOR_CACHE_BYTES_MAX), or the worker ends',
    'restart the workers',
  ),
  elsewhere(
    'memory of query services',
    'nothing: receipts by offset, and queries while they are answered',
    'until other receipts take their place (50,000), or the service ends',
    'restart the query services',
  ),
  elsewhere(
    'files and their ledgers',
    'nothing: they are where freshet ingest was run',
    'delete the file there and run freshet ingest again, which also takes it out of its ledger; else it would be published again when it changes',
    'the ledger in the data folder of that machine',
  ),
  elsewhere(
    'disks and copies',
    'nothing: Qdrant rewrites its segments, and Kafka its files, in their own time',
    'snapshots, backups and logs of processes have the time limits that you gave them',
    'your own backups',
  ),
]
