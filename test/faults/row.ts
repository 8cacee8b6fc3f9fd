import type { StoredRecord } from '../../streams/broker.ts'
import type { Load } from '../load.ts'
import type { Invariant } from '../oracle/world.ts'
import type { Platform, QueryRole, Role } from '../platform.ts'
import type { OwnQdrant } from '../qdrant-process.ts'
import type { TcpProxy } from '../tcp-proxy.ts'
import type { KafkaLine } from './kafka-line.ts'
import type { OwnStack } from './own-stack.ts'
import type { QdrantLine, QdrantTreatment } from './qdrant-line.ts'
import type { SmallDisk } from './small-disk.ts'

/** One fault of the campaign. The frame (`campaign.ts`) sets up what it needs, lets it run, and judges what is left. */
export interface Row {
  /** As in the table of faults: F1 … F31; a variant has a letter behind it. */
  readonly id: string
  readonly title: string
  /** The quick ones run in `npm test`. */
  readonly sets: readonly RowSet[]
  readonly needs?: Needs
  /** Why this machine cannot do it; null if it can. Told in the report, instead of a result. */
  cannot?(): string | null
  /** Does the fault under load, and heals it. When it resolves, everything must be able to come to rest. */
  run(context: Context): Promise<void>
}

export type RowSet = 'fast' | 'full'

export interface Needs {
  readonly partitions?: number
  /** Workers that run when the row begins. Default 2. */
  readonly workers?: number
  /** Query services, one for each tenant, and a reader of each. Default true. */
  readonly queries?: boolean
  /** Clients that follow standing queries of each of these, and are compared at rest. Default false. */
  readonly standing?: boolean
  /** Default: hash. */
  readonly engine?: 'hash' | 'model'
  /** `own`: a Qdrant that may be killed, copied, set back. Default: the shared one. */
  readonly qdrant?: 'own'
  /** `own`: Kafka and registry that may be hurt. Default: the shared ones. */
  readonly stack?: 'own'
  /** The data of this lie on a disk of so many MiB, which the row may fill. */
  readonly smallDisk?: { readonly under: 'stack' | 'qdrant'; readonly mebibytes: number }
  /**
   * Each worker has a line of its own to these, which the row can hurt; to the registry all processes share one. What the test
   * itself asks and writes goes past it.
   */
  readonly lines?: readonly ('kafka' | 'qdrant' | 'registry')[]
  /** Share of the load that can never succeed. Default 0.05. */
  readonly poison?: number
  /** Instead of the program: a file that runs the worker. */
  readonly workerFile?: string
  /** Environment of all processes. */
  readonly env?: Readonly<Record<string, string>>
  /** Promises that this row must have compared, beyond those that every row does. */
  readonly shows?: readonly Invariant[]
  /** Promises that the fault suspends, and why: they are not judged. */
  readonly excepts?: Readonly<Partial<Record<Invariant, string>>>
}

export interface Context {
  readonly set: RowSet
  readonly platform: Platform
  readonly load: Load
  /** Those that run. A row that kills one calls `startWorker` for another. */
  readonly workers: readonly Role[]
  readonly queries: readonly QueryRole[]
  /** With `needs.qdrant`. */
  readonly qdrant: OwnQdrant
  /** With `needs.stack`. */
  readonly stack: OwnStack
  /** With `needs.smallDisk`. */
  readonly disk: SmallDisk
  /** With `needs.lines`: the worker's own. */
  kafkaLine(worker: Role): KafkaLine
  qdrantLine(worker: Role): QdrantLine
  readonly registryLine: TcpProxy
  /** A number in [0, 1), of the seed. */
  next(): number
  /** `treatment`: of its line to Qdrant, from its first call on. */
  startWorker(env?: Readonly<Record<string, string>>, treatment?: QdrantTreatment): Promise<Role>
  /** Starts another query service for the tenant of this one; its reader goes to the new one when its connection ends. */
  startQuery(predecessor: QueryRole): Promise<QueryRole>
  /** Sends the signal, and counts it. A process that is gone is no longer among `workers` and `queries`. */
  signal(role: Role, signal: NodeJS.Signals): Promise<void>
  /**
   * The fault is over. Measures how long it takes until everything that is in the logs now is in the index, and expects that
   * something moves within 60 s (I8), or within the bound that is given. Resolves with the seconds until all is there.
   */
  healed(options?: { readonly secondsMax?: number; readonly what?: string }): Promise<number>
  /** The index is set back now: until `healed` resolves, readers may see older revisions, and watermarks go back. */
  setBack(): void
  /** These places of `documents`, as partition/offset, were removed from `vectors` before they were indexed. */
  removed(places: Iterable<string>): void
  /** These lay in `documents`, where compaction may take some of them away. From the offsets of `seen`, by partition, on nobody had seen them. */
  wereThere(records: readonly StoredRecord[], seen: ReadonlyMap<number, number>): void
  /**
   * `documents` and `inbox` are other topics of the same names now, and accepted: after the next `healed()` only what was sent after
   * the first `sent` records, and answered from then on, is judged.
   */
  renewed(epoch: number, sent: number): Promise<void>
  /** Resolves when everything that was written is in the index. */
  atRest(msMax?: number): Promise<void>
  /** A figure for the report; the same name again adds up. */
  count(name: string, by?: number): void
  /** A figure for the report: the largest of those that were given. */
  most(name: string, value: number): void
  /** What the row itself promises beyond the invariants. */
  expect(holds: boolean, otherwise: string): void
  /** A line for whoever watches. */
  say(text: string): void
}
