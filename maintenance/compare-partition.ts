import { documentKeyIn } from '../processors/document-key.ts'
import { embedDocuments } from '../processors/embed-documents.ts'
import { compareFences, type Fence } from '../processors/fence.ts'
import { BUCKETS, bucketOf, type IndexContents, type Slice } from '../processors/index-contents.ts'
import type { Compare, Manifest } from '../processors/vector-index.ts'
import { documents, vectors } from '../schemas/topics.ts'
import type { Broker, Position, Producer } from '../streams/broker.ts'
import type { Clock } from '../streams/clock.ts'
import { decodeNote } from '../streams/commit-note.ts'
import { type Low, laterLow } from '../streams/low.ts'
import type { Compared } from '../streams/processor.ts'
import { groupOf } from '../streams/runner.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import { type Difference, differencesOf, type Latest } from './differences.ts'
import { redoRecord } from './redo.ts'
import { runsOf } from './repair.ts'

export interface ComparePorts {
  readonly broker: Pick<Broker, 'admin' | 'read' | 'producer'>
  readonly serde: Serde
  readonly scope: Scope
  readonly partitions: number
  readonly contents: IndexContents
  readonly epoch: () => number
  readonly clock: Clock
  /** Told how many documents differed, before they are healed. */
  found?(partition: number, differences: number): void
}

/**
 * What a stage that may have missed something does before its watermark goes on. It knows of documents and manifests only:
 * whether chunks are sound is the audit's to say.
 */
export function comparePartition(ports: ComparePorts): Compare {
  return async (compared) => {
    const { broker, scope, contents, partitions, clock } = ports
    await contents.prepare(partitions)
    const topic = nameIn(scope, documents)
    const { partition, signal } = compared
    // Asked for first: what is handed on is then of this epoch or of a later one.
    const epoch = ports.epoch()
    const last = compared.follows ? await lastIn(topic, compared, broker) : -1
    const producer = await broker.producer()
    try {
      let passed = laterLow(compared.low, { epoch, low: await embedded(partition, topic, ports) })
      await compareUpTo(passed, epoch, compared, producer, ports)
      if (passed.epoch > epoch || passed.low >= last) return passed
      // What was removed may have been handed on long before it was committed, and lies behind what is passed.
      while (passed.low < last) {
        await clock.wait(POLL_MS, signal)
        signal.throwIfAborted()
        passed = laterLow(passed, { epoch, low: await embedded(partition, topic, ports) })
      }
      await compareUpTo(passed, epoch, compared, producer, ports)
      return passed
    } finally {
      await producer.close()
    }
  }
}

async function compareUpTo(passed: Low, epoch: number, compared: Compared, producer: Producer, ports: ComparePorts) {
  const { broker, scope, contents } = ports
  const { partition, signal } = compared
  // What was handed on must be in the index, or it would look as if it were missing.
  await applied(compared, ports)
  const { start, end } = (await broker.admin.offsets(nameIn(scope, documents))).find(
    (each) => each.partition === partition,
  )!
  for (const slice of slicesOf(partition, end - start)) {
    signal.throwIfAborted()
    const latest = await latestIn(slice, { low: passed.low, end }, ports, signal)
    const manifests = new Map<string, Manifest>()
    for await (const page of contents.manifests(slice)) for (const each of page) manifests.set(each.key, each)
    const differences = differencesOf(latest, manifests, { epoch, low: passed.low, end })
    ports.found?.(partition, differences.length)
    for (let i = 0; i < differences.length; i += HEALED_AT_ONCE)
      await heal(differences.slice(i, i + HEALED_AT_ONCE), compared, producer, ports)
  }
}

/** The last offset that holds a record now. */
async function lastIn(topic: string, { partition, signal }: Compared, broker: ComparePorts['broker']): Promise<number> {
  const { start, end } = (await broker.admin.offsets(topic)).find((each) => each.partition === partition)!
  for (let tail = TAIL_OFFSETS; ; tail *= 2) {
    const from = Math.max(start, end - tail)
    let last = -1
    for await (const { records } of broker.read({ topic, partition, from, to: end, signal }))
      last = records.at(-1)?.offset ?? last
    if (last >= 0 || from === start) return last
  }
}

/** The embed stage has handed on everything up to this; to a topic that is gone, it may be. */
async function embedded(partition: number, topic: string, { broker, scope }: ComparePorts): Promise<number> {
  const [committed, topics] = await Promise.all([
    broker.admin.committed(groupOf(scope, embedDocuments), topic),
    broker.admin.topics(),
  ])
  const commit = committed.find((each) => each.partition === partition)
  const note = decodeNote(commit?.metadata ?? '')
  const isOfThisTopic = note === null || note.topicId === topics.find(({ name }) => name === topic)?.id
  return commit === undefined || !isOfThisTopic ? -1 : commit.offset - 1
}

/** As many slices as keep the keys of one in memory. */
function slicesOf(partition: number, offsets: number): Slice[] {
  const count = Math.min(BUCKETS, Math.max(1, Math.ceil(offsets / SLICE_OFFSETS)))
  const edge = (i: number) => Math.round((i * BUCKETS) / count)
  return Array.from({ length: count }, (_, i) => ({ partition, from: edge(i), to: edge(i + 1) }))
}

/**
 * Of each key that a document can have, the latest record up to `low`, or else its latest. What comes behind `low` is on its
 * way and is not waited for: what it takes the place of must be there, since the watermark says so.
 */
async function latestIn(
  { partition, from, to }: Slice,
  { low, end }: { low: number; end: number },
  { broker, scope, partitions }: ComparePorts,
  signal: AbortSignal,
): Promise<Map<string, Latest>> {
  const latest = new Map<string, Latest>()
  for await (const { records } of broker.read({
    topic: nameIn(scope, documents),
    partition,
    from: 0,
    to: end,
    signal,
  })) {
    for (const { key, value, offset } of records) {
      const text = documentKeyIn(key, partition, partitions)
      if (text === null || bucketOf(text) < from || bucketOf(text) >= to) continue
      const isLast = offset <= low || (latest.get(text)?.offset ?? Infinity) > low
      if (isLast) latest.set(text, { offset, deleted: value === null })
    }
  }
  return latest
}

/** Sends what differs through `redo`, and resolves when it is applied, or was rejected with a dead letter of its own. */
async function heal(
  differences: readonly Difference[],
  compared: Compared,
  producer: Producer,
  ports: ComparePorts,
): Promise<void> {
  const { scope, broker, contents, clock } = ports
  const values = await valuesOf(differences, compared, ports)
  const records = differences.map(({ key, revision, present, live }) => {
    const value = live ? (values.get(revision.offset) ?? null) : null
    return redoRecord({ key, revision, present, value, why: 'repair: compared' }, ports)
  })
  compared.signal.throwIfAborted()
  const sent = await producer.send(records)
  const keys = differences.map(({ key }) => key)
  const isApplied = (manifest: Manifest | null, i: number) => {
    const { revision, present } = differences[i]!
    const same = present !== null && compareFences(present, { ...revision, derivation: present.derivation }) === 0
    const least: Fence = { ...revision, derivation: same ? present.derivation + 1 : 1 }
    return manifest !== null && compareFences(manifest.fence, least) >= 0
  }
  for (;;) {
    if ((await contents.manifestsOf(keys)).every(isApplied)) return
    if (await handled(sent, groupOf(scope, embedDocuments), broker)) return applied(compared, ports)
    await clock.wait(POLL_MS, compared.signal)
    compared.signal.throwIfAborted()
  }
}

/** The values of live documents, byte for byte, by offset. */
async function valuesOf(
  differences: readonly Difference[],
  { partition, signal }: Compared,
  { broker, scope }: ComparePorts,
): Promise<Map<number, Buffer | null>> {
  const wanted = new Set(differences.flatMap(({ live, revision }) => (live ? [revision.offset] : [])))
  const values = new Map<number, Buffer | null>()
  for (const { from, to } of runsOf([...wanted]))
    for await (const { records } of broker.read({ topic: nameIn(scope, documents), partition, from, to, signal }))
      for (const { offset, value } of records) if (wanted.has(offset)) values.set(offset, value)
  return values
}

/** The embed stage has committed past all of them. */
async function handled(sent: readonly Position[], group: string, { admin }: ComparePorts['broker']): Promise<boolean> {
  const committed = await admin.committed(group, sent[0]!.topic)
  const next = new Map(committed.map(({ partition, offset }) => [partition, offset]))
  return sent.every(({ partition, offset }) => (next.get(partition) ?? 0) > offset)
}

/** Waits until the index has everything that lies in `vectors` now. */
async function applied(
  { partition, signal }: Compared,
  { broker, scope, contents, clock }: ComparePorts,
): Promise<void> {
  const name = nameIn(scope, vectors)
  const [offsets, topics] = await Promise.all([broker.admin.offsets(name), broker.admin.topics()])
  const { start, end } = offsets.find((each) => each.partition === partition)!
  const id = topics.find((topic) => topic.name === name)?.id
  const reached = async () => {
    const marker = await contents.marker(partition)
    // What the index has of a former topic of this name says nothing of this one.
    return marker !== null && marker.topicId === id && marker.applied >= end - 1
  }
  while (end > start && !(await reached())) {
    await clock.wait(POLL_MS, signal)
    signal.throwIfAborted()
  }
}

const POLL_MS = 500
/** Nearly always there is a record among these. */
const TAIL_OFFSETS = 64
/** Documents whose records are in memory at once. */
const HEALED_AT_ONCE = 64
/** Keys of a partition that are in memory at once, about: some 100 MB. */
const SLICE_OFFSETS = 500_000
