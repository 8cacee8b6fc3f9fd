import { chunkPoints, manifestPoint, markerPoint, type PointInit, readPayload } from '../../connectors/qdrant/points.ts'
import { hashEngine } from '../../engine/hash-engine.ts'
import { cleanDocument, type RawDocument } from '../../processors/clean-text.ts'
import { contentChecksum } from '../../processors/content-checksum.ts'
import { type MemoryIndex, memoryIndex } from '../../processors/memory-index.ts'
import { memoryPipeline } from '../../processors/memory-pipeline.ts'
import type { Document, DocumentVectors, Progress, Receipt } from '../../schemas/records.ts'
import { deadLetters, documents, inbox, indexed, progress, vectors } from '../../schemas/topics.ts'
import type { DeadLetter } from '../../streams/dead-letters.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import type { RejectClass } from '../../streams/processor.ts'
import type { TestDriver, TestRecord } from '../../streams/test-driver.ts'
import type { Point } from '../index-points.ts'
import { random } from '../random.ts'
import type { Answer } from './answers.ts'
import type { Log, Meant, Sent, World } from './world.ts'

export interface RightWorld {
  readonly world: World
  /** The points of any revision that the index held or could have held. */
  pointsOf(key: string, offset: number): RevisionPoints | null
}

interface RevisionPoints {
  readonly manifest: Point
  readonly chunks: readonly Point[]
}

/** A world in which everything is right: the real processors and the real loop, in memory, under a load of two tenants. */
export async function rightWorld(seed: number, records = 112): Promise<RightWorld> {
  const index = memoryIndex({ space: hashSpace })
  await using pipeline = await memoryPipeline({ partitions, index })
  const { driver, engine } = pipeline
  const next = random(seed)
  const sent: Sent[] = []
  const answers: Answer[] = []
  for (let done = 0; done < records; done += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, i) => oneRecord(next, done + i))
    await driver.pipe(...batch.map(({ record }) => record))
    sent.push(...batch.map((each) => sentBy(driver, each)))
    answers.push(...tenants.map((tenant) => lookAt(driver, index, tenant)))
  }
  const revisions = new Map<string, RevisionPoints>()
  for (const { key, value } of await driver.records(vectors)) {
    const of = value as DocumentVectors | null
    if (of !== null) revisions.set(`${key} ${of.offset}`, revisionPoints(key, of))
  }
  const { manifests, markers, chunks } = index.copy()
  const world: World = {
    engine,
    partitions,
    collection: index.collection,
    sent,
    documents: await logOf(driver, documents),
    inbox: await logOf(driver, inbox),
    points: [
      ...manifests.map(([, manifest]) => pointOf(manifestPoint(manifest))),
      ...markers.map(([, marker]) => pointOf(markerPoint(marker))),
      ...chunks.map(([, { key, fence, ordinal }]) => revisions.get(`${key} ${fence.split(':')[1]}`)!.chunks[ordinal]!),
    ],
    receipts: (await driver.values(indexed)) as Receipt[],
    deadLetters: (await driver.values(deadLetters)) as DeadLetter[],
    progress: (await driver.values(progress)) as Progress[],
    answers,
    resources: [{ process: 'worker', before: resources, after: resources }],
    restores: [],
  }
  return { world, pointsOf: (key, offset) => revisions.get(`${key} ${offset}`) ?? null }
}

function revisionPoints(key: string, value: DocumentVectors): RevisionPoints {
  const { epoch, offset, derivation, contentHash, pipeline, space, chunks } = value
  const fence = { epoch, offset, derivation }
  const served = { deleted: false, rejected: null, left: [] }
  const at = { key, partition: partitionOf(key, partitions), fence, content: fence }
  const made = { chunks: chunks.length, contentHash, pipeline, space, checksum: contentChecksum(value) }
  const manifest = { ...served, ...at, ...made }
  return { manifest: pointOf(manifestPoint(manifest)), chunks: chunkPoints(manifest, value).map(pointOf) }
}

const partitions = 3
const BATCH = 16
const hashSpace = hashEngine().space.id
const tenants = ['acme', 'zenith']
const keysOf = (door: Sent['door']) =>
  tenants.flatMap((tenant) => Array.from({ length: 8 }, (_, i) => `${tenant}/${door}-${i}`))
const keys = { inbox: keysOf('inbox'), documents: keysOf('documents') }
const resources = { heldBytes: 50_000_000, residentBytes: 100_000_000, openFiles: 40, queued: 0 }

const emptyDocument = { title: null, text: 'fine', url: null, language: null, attributes: {}, acl: null, cleaning: '' }

interface Written {
  readonly record: TestRecord
  readonly door: Sent['door']
  readonly meant: Meant
}

function oneRecord(next: () => number, count: number): Written {
  const door = next() < 0.4 ? 'inbox' : 'documents'
  const key = keys[door][Math.floor(next() * keys[door].length)]!
  const topic = door === 'inbox' ? inbox : documents
  const kind = next()
  const at = { topic, key, headers: { sent: `m${count}` } }
  const poison = (rejected: RejectClass, record: TestRecord): Written => ({
    record: { ...at, ...record },
    door,
    meant: { kind: 'poison', class: rejected },
  })
  if (kind < 0.2) return { record: { ...at, value: null }, door, meant: { kind: 'deletion' } }
  if (kind < 0.24) return poison('schema', { key, bytes: Buffer.from('not Avro') })
  if (kind < 0.26) return poison('key', { key: 'no tenant', value: { ...emptyDocument, contentType: null } })
  if (kind < 0.28 && door === 'documents')
    return poison('partition', {
      key,
      bytes: Buffer.from('x'),
      partition: (partitionOf(key, partitions) + 1) % partitions,
    })
  const sentences = 1 + Math.floor(next() ** 2 * 60)
  const raw: RawDocument = {
    text: kind > 0.9 ? 'The same again, under any number.' : textOf(key, count, sentences),
    contentType: null,
    title: next() < 0.5 ? `Title ${count}` : null,
    url: next() < 0.3 ? `https://example.com/${count}` : null,
    language: null,
    attributes: kind > 0.9 ? {} : { count, team: 'support' },
    acl: count % 4 === 0 ? ['board', 'hr'] : null,
  }
  const document = door === 'inbox' ? raw : cleanDocument(raw)
  return { record: { ...at, value: document }, door, meant: { kind: 'document', document } }
}

const textOf = (key: string, count: number, sentences: number): string =>
  Array.from({ length: sentences }, (_, i) => `Revision ${count} of ${key}, sentence ${i}, as it was sent.`).join(' ')

function sentBy({ broker }: TestDriver, { record, door, meant }: Written): Sent {
  const { sent: mark } = record.headers as { sent: string }
  const stored = broker.records(record.topic!.name).find(({ headers }) => headers.sent?.toString('utf8') === mark)!
  const { partition, offset, key, value } = stored
  return { door, partition, key, value, meant, offset, mark }
}

async function logOf(driver: TestDriver, topic: typeof inbox | typeof documents): Promise<Log> {
  const ends = await driver.broker.admin.offsets(topic.name)
  const read = new Map(
    (await driver.records(topic)).map(({ partition, offset, value }) => [`${partition}/${offset}`, value]),
  )
  const records = driver.broker.records(topic.name).map((record) => {
    const value = read.get(`${record.partition}/${record.offset}`) as Document | null
    return { ...record, document: record.value === null ? null : topic === inbox ? undefined : (value ?? undefined) }
  })
  return { topic: topic.name, ends, records }
}

/** What a search for everything would show now. */
function lookAt({ now }: TestDriver, index: MemoryIndex, tenant: string): Answer {
  const own = (key: string) => key.startsWith(`${tenant}/`)
  const { manifests, markers } = index.copy()
  const served = index.served().filter(({ key }) => own(key))
  return {
    reader: `reader of ${tenant}`,
    tenant,
    atMs: now(),
    lows: new Map(markers.map(([partition, { low }]) => [partition, low])),
    hits: served.map(({ key, fence, ordinal, text }) => ({ key, ordinal, text, offset: Number(fence.split(':')[1]) })),
    whole: [...new Set(served.map(({ key }) => key))],
    deleted: manifests.flatMap(([key, { deleted, fence }]) =>
      own(key) && deleted ? [{ key, epoch: fence.epoch, offset: fence.offset }] : [],
    ),
  }
}

/** A point that is to be written, as Qdrant would tell it. */
function pointOf({ id, payload, vectors: of }: PointInit): Point {
  const { vectors: named } = (of!.vectorsOptions as { value: { vectors: Record<string, unknown> } }).value
  return {
    id: String(id?.pointIdOptions?.value),
    payload: readPayload(payload as Parameters<typeof readPayload>[0]),
    vectors: Object.fromEntries(Object.entries(named).map(([name, vector]) => [name, told(vector)])),
  }
}

function told(vector: unknown): string {
  const { value } = (vector as { vector: { value: { data?: number[]; indices?: number[]; values?: number[] } } }).vector
  const numbers = Float32Array.from(value.data ?? value.values ?? [])
  return `${value.indices?.join(',') ?? ''} ${Buffer.from(numbers.buffer).toString('hex')}`
}
