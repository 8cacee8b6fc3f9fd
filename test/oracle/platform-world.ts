import type { RawDocument } from '../../processors/clean-text.ts'
import { isDocumentKey } from '../../processors/document-key.ts'
import type { Document } from '../../schemas/records.ts'
import { deadLetters, documents, inbox, indexed, progress } from '../../schemas/topics.ts'
import type { StoredRecord } from '../../streams/broker.ts'
import { Reject } from '../../streams/errors.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { isLowKey, type Topic } from '../../streams/topic.ts'
import { pointsOf } from '../index-points.ts'
import type { Platform } from '../platform.ts'
import { recordsOf, valuesOf } from '../topic-records.ts'
import { judge } from './judge.ts'
import type { Compacted, Finding, Invariant, Log, Meant, Sent, Stored, World } from './world.ts'

/** What lay in `documents` at one time, and whether a stage had seen it by then. */
export interface Earlier extends StoredRecord {
  readonly unseen: boolean
}

type Known = Partial<
  Pick<World, 'sent' | 'answers' | 'formerCollections' | 'resources' | 'restores' | 'removed' | 'cosineMin'>
>

/** What the platform shows now, beside what its producers say. `earlier` is what was read in `documents` before compaction took some of it. */
export async function worldOf(
  platform: Platform,
  { earlier = [], ...known }: Known & { readonly earlier?: readonly Earlier[] } = {},
): Promise<World> {
  const { engine, partitions, collection } = platform
  const [documentLog, inboxLog] = [await logOf(platform, documents), await logOf(platform, inbox)]
  return {
    engine,
    partitions,
    collection,
    documents: documentLog,
    inbox: inboxLog,
    points: await pointsOf(platform),
    receipts: await valuesOf(platform, indexed),
    deadLetters: await valuesOf(platform, deadLetters),
    progress: await valuesOf(platform, progress),
    answers: [],
    resources: [],
    restores: [],
    compacted: await goneOf(platform, documentLog, earlier),
    ...known,
    sent: known.sent ?? asIfSent(platform, documentLog),
  }
}

export interface Differences {
  /** What is served and what should be: chunks that are missing, stale or orphans, in words. */
  readonly served: readonly string[]
  /** Points that nobody is shown, and that nothing needs: chunks that a manifest has left. */
  readonly garbage: readonly string[]
}

/** For tests that keep no log of their own: `documents` is then taken for what its producers sent. */
export async function differences(platform: Platform): Promise<Differences> {
  const { findings, garbage } = await judge(await worldOf(platform), [])
  return { served: textsOf(findings, ['I1', 'I2', 'I10']), garbage }
}

/** Every record of `documents` has exactly one outcome, and a rejected one a dead letter; the watermarks are true. */
export async function unaccounted(platform: Platform): Promise<string[]> {
  const world = await worldOf(platform)
  // What ingest rejected was sent by somebody of whom we know nothing here.
  const own = world.deadLetters.filter(({ topic }) => topic === world.documents.topic)
  const { findings } = await judge({ ...world, deadLetters: own, restores: [{ fromMs: 0, toMs: Infinity }] }, ['I5'])
  return textsOf(findings, ['I5', 'I6', 'I7'])
}

const textsOf = (findings: readonly Finding[], of: readonly Invariant[]): string[] =>
  findings
    .filter(({ invariant }) => invariant !== 'row' && of.includes(invariant))
    .map(({ invariant, what }) => `${invariant} ${what}`)

async function goneOf(platform: Platform, { records }: Log, earlier: readonly Earlier[]): Promise<Compacted[]> {
  const there = new Set(records.map(placeOf))
  const gone = new Map(earlier.filter((each) => !there.has(placeOf(each))).map((each) => [placeOf(each), each]))
  return Promise.all(
    [...gone.values()].map(async (each) => ({ ...each, document: await documentOf(platform, documents, each.value) })),
  )
}

const placeOf = ({ partition, offset }: Pick<StoredRecord, 'partition' | 'offset'>): string => `${partition}/${offset}`

async function logOf(platform: Platform, topic: Topic): Promise<Log> {
  const name = platform.topic(topic)
  const ends = await platform.broker.admin.offsets(name)
  const records = (await recordsOf(platform, topic)).filter(
    ({ key, partition, offset }) =>
      !isLowKey(key) && offset < (ends.find((each) => each.partition === partition)?.end ?? 0),
  )
  return {
    topic: name,
    ends,
    records: await Promise.all(
      records.map(async (record) => ({ ...record, document: await documentOf(platform, topic, record.value) })),
    ),
  }
}

async function documentOf({ serde }: Platform, topic: Topic, value: Stored['value']): Promise<Stored['document']> {
  if (value === null || topic !== documents) return value === null ? null : undefined
  try {
    return (await serde.decode(documents, value)) as Document
  } catch (error) {
    if (error instanceof Reject) return undefined
    throw error
  }
}

function asIfSent({ partitions }: Platform, { records }: Log): Sent[] {
  const meantBy = ({ key, partition, document }: Stored): Meant => {
    if (!isDocumentKey(key)) return { kind: 'poison', class: 'key' }
    if (partitionOf(key!, partitions) !== partition) return { kind: 'poison', class: 'partition' }
    if (document === undefined) return { kind: 'poison', class: 'schema' }
    return document === null ? { kind: 'deletion' } : { kind: 'document', document: document as RawDocument | Document }
  }
  return records.map((record, i) => ({
    door: 'documents',
    partition: record.partition,
    key: record.key,
    value: record.value,
    meant: meantBy(record),
    offset: record.offset,
    mark: `log ${i}`,
  }))
}
