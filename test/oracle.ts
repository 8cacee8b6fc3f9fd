import { createHash } from 'node:crypto'
import { denseName, sparseName } from '../connectors/qdrant/points.ts'
import { checkKey } from '../processors/document-key.ts'
import { CHUNKS_MAX } from '../processors/embed-documents.ts'
import type { Document } from '../schemas/records.ts'
import { documents } from '../schemas/topics.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { isLowKey } from '../streams/topic.ts'
import { kindOf, type Point, pointsOf } from './index-points.ts'
import type { Platform } from './platform.ts'
import { deadLettersOf, receiptsOf, recordsOf } from './topic-records.ts'

export interface Differences {
  /** What is served and what should be: chunks that are missing, stale or orphans, in words. */
  readonly served: readonly string[]
  /** Points that nobody is shown, and that nothing needs: chunks that a manifest has left. */
  readonly garbage: readonly string[]
}

/**
 * Compares what the index serves with F(latest record of each key in `documents`), derived again here: the engine's split,
 * its vectors and its terms.
 */
export async function differences(platform: Platform): Promise<Differences> {
  const expected = await expectedChunks(platform)
  const points = await pointsOf(platform)
  const contents = new Map(
    points
      .filter((point) => kindOf(point) === 'manifest')
      .map(({ payload }) => [payload.key, payload.deleted === true ? '' : payload.content]),
  )
  const chunks = points.filter((point) => kindOf(point) === 'chunk')
  const isServed = ({ payload }: Point) => contents.get(payload.key) === payload.fence
  const actual = new Map(chunks.filter(isServed).map((point) => [nameOf(point.payload), described(platform, point)]))
  return {
    served: [
      ...[...expected].flatMap(([name, chunk]) =>
        !actual.has(name) ? [`missing ${name}`] : actual.get(name) !== chunk ? [`stale ${name}`] : [],
      ),
      ...[...actual.keys()].flatMap((name) => (expected.has(name) ? [] : [`orphan ${name}`])),
    ],
    garbage: chunks.filter((point) => !isServed(point)).map(({ payload }) => `${nameOf(payload)} of ${payload.fence}`),
  }
}

/**
 * Every record of `documents` has exactly one outcome: a receipt (the same again is a repetition), and where it is rejected
 * one dead letter; a record that belongs to no document (malformed key, wrong partition) has a dead letter only.
 */
export async function unaccounted(platform: Platform): Promise<string[]> {
  const faults: string[] = []
  const receipts = Map.groupBy(await receiptsOf(platform), ({ partition, offset }) => `${partition}/${offset}`)
  const letters = Map.groupBy(
    (await deadLettersOf(platform)).filter(({ topic }) => topic === platform.topic(documents)),
    ({ partition, offset }) => `${partition}/${offset}`,
  )
  const positions = (await recordsOf(platform, documents)).filter(({ key }) => !isLowKey(key))
  for (const { partition, offset } of positions) {
    const at = `${partition}/${offset}`
    const own = receipts.get(at) ?? []
    const refused = letters.has(at)
    const rejections = own.filter(({ outcome }) => outcome === 'rejected').length
    if (own.length === 0 && !refused) faults.push(`${at} has neither a receipt nor a dead letter`)
    // Seen again once a later revision is there, a record is `superseded`: what it led to at first stands.
    const outcomes = new Set(own.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'superseded'))
    if (outcomes.size > 1) faults.push(`${at} has the outcomes ${[...outcomes].join(', ')}`)
    if (rejections > 0 && !refused) faults.push(`${at} is rejected and has no dead letter`)
    receipts.delete(at)
  }
  for (const at of receipts.keys()) faults.push(`${at} has a receipt and is no record of documents`)
  return faults
}

async function expectedChunks(platform: Platform): Promise<Map<string, string>> {
  const { engine, partitions } = platform
  const latest = new Map<string, Buffer | null>()
  for (const { key, partition, value } of await recordsOf(platform, documents)) {
    if (key === null || isLowKey(key) || partitionOf(key, partitions) !== partition) continue
    if (!isKey(key)) continue
    latest.set(key.toString('utf8'), value)
  }
  const expected = new Map<string, string>()
  for (const [key, value] of latest) {
    const document = value === null ? null : await readable(platform, value)
    if (document === null) continue
    const { title, url, language, attributes } = document
    const chunks = await engine.split(document.text)
    for (const { ordinal, start, end, text } of chunks.length > CHUNKS_MAX ? [] : chunks) {
      const [dense] = await engine.embed([text], { as: 'document' })
      const { indices, values } = engine.documentTerms(text, language)
      const name = nameOf({ key, ordinal })
      const hash = createHash('sha256').update(text).digest('hex')
      expected.set(
        name,
        JSON.stringify([
          start,
          end,
          text,
          hash,
          title,
          url,
          ordered(attributes),
          ` ${hex(dense!)}`,
          `${indices.join(',')} ${hex(values)}`,
        ]),
      )
    }
  }
  return expected
}

function isKey(key: Buffer): boolean {
  try {
    checkKey(key)
    return true
  } catch {
    return false
  }
}

/** null for a revision that is rejected, which is a deletion. */
async function readable(platform: Platform, value: Buffer): Promise<Document | null> {
  try {
    return (await platform.serde.decode(documents, value)) as Document
  } catch {
    return null
  }
}

function described({ engine }: Platform, { payload, vectors }: Point): string {
  const { start, end, text, hash, title, url, attributes } = payload
  return JSON.stringify([
    start,
    end,
    text,
    hash,
    title,
    url,
    ordered(attributes as Record<string, unknown>),
    vectors[denseName(engine.space.id)],
    vectors[sparseName(engine.space.id)],
  ])
}

const nameOf = ({ key, ordinal }: Readonly<Record<string, unknown>>): string => `${key}#${ordinal}`
const hex = (numbers: Float32Array): string => Buffer.from(Float32Array.from(numbers).buffer).toString('hex')
const ordered = (fields: Readonly<Record<string, unknown>>): unknown =>
  Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))
