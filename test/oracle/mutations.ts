import { denseName, sparseName } from '../../connectors/qdrant/points.ts'
import { kindOf, type Point } from '../index-points.ts'
import type { Answer } from './answers.ts'
import type { RightWorld } from './right-world.ts'
import type { Invariant, World } from './world.ts'

/** One thing that is wrong, somewhere in a world that was right, and the invariant that it breaks. */
export interface Mutation {
  readonly name: string
  readonly invariant: Invariant
  mutate(right: RightWorld, next: () => number): World
}

type Next = () => number
const one = <T>(of: readonly T[], next: Next): T => {
  if (of.length === 0) throw new Error('the world has nothing of the kind that is to be mutated; let it be larger')
  return of[Math.floor(next() * of.length)]!
}

export const mutations: readonly Mutation[] = [
  points('a missing chunk', 'I2', (right, next) => {
    const chunk = one(servedChunks(right), next)
    return right.world.points.filter((point) => point !== chunk)
  }),
  points('a missing document', 'I2', (right, next) => {
    const { key } = one(servedChunks(right), next).payload
    return right.world.points.filter(({ payload }) => payload.key !== key)
  }),
  points('a stale revision', 'I2', (right, next) => {
    const { key, older } = one(replaced(right), next)
    return [...without(right, key), ...revision(right, key, one(older, next))]
  }),
  points('a document that is deleted and served', 'I2', (right, next) => {
    const { key, older } = one(goneKeys(right), next)
    return [...without(right, key), ...revision(right, key, one(older, next))]
  }),
  points('a document that nobody sent', 'I2', (right, next) => {
    const { key, older } = one(replaced(right), next)
    const stray = revision(right, key, one(older, next)).map((point) => changed(point, { key: `${key}-stray` }))
    return [...right.world.points, ...stray]
  }),
  points('a chunk too many that is served', 'I2', (right, next) => {
    const chunk = one(servedChunks(right), next)
    const count = servedChunks(right).filter(({ payload }) => payload.key === chunk.payload.key).length
    return [...right.world.points, { ...changed(chunk, { ordinal: count }), id: 'orphan' }]
  }),
  points('a chunk that is there twice', 'I2', (right, next) => [
    ...right.world.points,
    { ...one(servedChunks(right), next), id: 'twice' },
  ]),
  points('a document with two manifests', 'I2', (right, next) => {
    const manifest = one(
      right.world.points.filter((point) => kindOf(point) === 'manifest'),
      next,
    )
    return [...right.world.points, { ...manifest, id: 'twice' }]
  }),
  points('two revisions mixed in one document', 'I1', (right, next) => {
    const { key, older } = one(replaced(right), next)
    const chunk = one(
      servedChunks(right).filter(({ payload }) => payload.key === key),
      next,
    )
    const { text, hash } = one(right.pointsOf(key, one(older, next))!.chunks, next).payload
    return with_(right, chunk, changed(chunk, { text, hash }))
  }),
  points('an emptied payload', 'I2', (right, next) => {
    const point = one(
      right.world.points.filter((each) => kindOf(each) !== 'marker'),
      next,
    )
    return with_(right, point, { ...point, payload: {} })
  }),
  points('vectors of another space', 'I1', (right, next) => {
    const chunk = one(servedChunks(right), next)
    const vectors = Object.fromEntries(
      Object.entries(chunk.vectors).map(([name, each]) => [name.replace('es_', 'es_other_'), each]),
    )
    return with_(right, chunk, { ...chunk, vectors })
  }),
  points('a wrong vector', 'I1', (right, next) => wrongVector(right, next, denseName(right.world.engine.space.id))),
  points('wrong terms', 'I1', (right, next) => wrongVector(right, next, sparseName(right.world.engine.space.id))),
  points('a wrong checksum', 'I1', (right, next) => {
    const chunk = one(servedChunks(right), next)
    return with_(right, chunk, changed(chunk, { checksum: Number(chunk.payload.checksum) + 1 }))
  }),
  points('wrong attributes', 'I1', (right, next) => {
    const chunk = one(servedChunks(right), next)
    return with_(
      right,
      chunk,
      changed(chunk, { attributes: { ...(chunk.payload.attributes as object), wrong: next() } }),
    )
  }),
  points('a chunk that more groups may see', 'I10', (right, next) => {
    const chunk = one(servedChunks(right), next)
    return with_(right, chunk, changed(chunk, { acl: ['board', 'everybody'] }))
  }),
  points('a wrong title', 'I1', (right, next) => {
    const chunk = one(servedChunks(right), next)
    return with_(right, chunk, changed(chunk, { title: chunk.payload.title === null ? '' : null }))
  }),
  points('a wrong span', 'I1', (right, next) => {
    const chunk = one(servedChunks(right), next)
    return with_(right, chunk, changed(chunk, { end: Number(chunk.payload.end) + 1 }))
  }),
  points('a document made by an older pipeline', 'I1', (right, next) => {
    const { key } = one(servedChunks(right), next).payload
    const manifest = right.world.points.find((point) => kindOf(point) === 'manifest' && point.payload.key === key)!
    return with_(right, manifest, changed(manifest, { pipeline: 'c0+d1' }))
  }),
  points('a chunk that another tenant may see', 'I10', (right, next) => {
    const chunk = one(servedChunks(right), next)
    return with_(right, chunk, changed(chunk, { tenant: chunk.payload.tenant === 'acme' ? 'zenith' : 'acme' }))
  }),
  {
    name: 'a missing receipt',
    invariant: 'I5',
    mutate({ world }, next) {
      const { partition, offset } = one(world.receipts, next)
      return {
        ...world,
        receipts: world.receipts.filter((each) => each.partition !== partition || each.offset !== offset),
      }
    },
  },
  {
    name: 'two outcomes of one record',
    invariant: 'I5',
    mutate({ world }, next) {
      const receipt = one(
        world.receipts.filter(({ outcome }) => outcome !== 'superseded'),
        next,
      )
      const outcome = receipt.outcome === 'deleted' ? 'indexed' : 'deleted'
      return { ...world, receipts: [...world.receipts, { ...receipt, outcome }] }
    },
  },
  {
    name: 'a receipt for an offset without a record',
    invariant: 'I5',
    mutate({ world }, next) {
      const receipt = one(world.receipts, next)
      const { end } = world.documents.ends.find(({ partition }) => partition === receipt.partition)!
      return { ...world, receipts: [...world.receipts, { ...receipt, offset: end + 1 }] }
    },
  },
  {
    name: 'a missing dead letter',
    invariant: 'I6',
    mutate({ world }, next) {
      const letter = one(world.deadLetters, next)
      return { ...world, deadLetters: world.deadLetters.filter((each) => each !== letter) }
    },
  },
  {
    name: 'a dead letter with other bytes',
    invariant: 'I6',
    mutate({ world }, next) {
      const letter = one(world.deadLetters, next)
      const value = Buffer.concat([letter.value ?? Buffer.alloc(0), Buffer.from('!')])
      return { ...world, deadLetters: world.deadLetters.map((each) => (each === letter ? { ...letter, value } : each)) }
    },
  },
  {
    name: 'a dead letter of a sound record',
    invariant: 'I6',
    mutate({ world }, next) {
      const sound = one(
        world.sent.filter(({ meant }) => meant.kind === 'deletion'),
        next,
      )
      const topic = world[sound.door].topic
      const letter = { ...one(world.deadLetters, next), topic, partition: sound.partition, offset: sound.offset! }
      return { ...world, deadLetters: [...world.deadLetters, letter] }
    },
  },
  log('an acknowledged record of documents that is lost', (world, next) => {
    const { partition, offset } = one(
      world.sent.filter(({ door }) => door === 'documents'),
      next,
    )
    return world.documents.records.filter((record) => record.partition !== partition || record.offset !== offset)
  }),
  log('a record of inbox that never came to documents', (world, next) => {
    const lost = one(ingested(world), next)
    return world.documents.records.filter((record) => record !== lost)
  }),
  log('a record of inbox that came to documents twice', (world, next) => {
    const twice = one(ingested(world), next)
    return [...world.documents.records, { ...twice, offset: 1_000_000 }]
  }),
  log('a record that nobody sent', (world, next) => {
    const model = one(world.documents.records, next)
    const headers = { ...model.headers, sent: Buffer.from('nobody') }
    return [...world.documents.records, { ...model, headers, key: Buffer.from('acme/nobody'), offset: 1_000_000 }]
  }),
  {
    name: 'a watermark that moves back',
    invariant: 'I7',
    mutate({ world }, next) {
      const raised = world.progress.filter(({ low }) => low > 0)
      const mark = one(raised, next)
      return {
        ...world,
        progress: [...world.progress, { ...mark, low: Math.floor(next() * mark.low), written: LAST_MS }],
      }
    },
  },
  {
    name: 'a watermark behind the end of the log',
    invariant: 'I7',
    mutate({ world }, next) {
      const mark = one(world.progress, next)
      const { end } = world.documents.ends.find(({ partition }) => partition === mark.partition)!
      return {
        ...world,
        progress: [...world.progress, { ...mark, low: end + Math.floor(next() * 5), written: LAST_MS }],
      }
    },
  },
  {
    name: 'a watermark that passes what is not in the index',
    invariant: 'I7',
    mutate(right, next) {
      const { key } = one(servedChunks(right), next).payload
      return { ...right.world, points: right.world.points.filter(({ payload }) => payload.key !== key) }
    },
  },
  answers('an answer with a document that went back', 'I3', (right, next) => {
    const { key, older, latest } = one(
      replaced(right).filter(({ key, latest, older }) => older.some((at) => !gone(right, key, at, latest))),
      next,
    )
    const at = one(
      older.filter((each) => !gone(right, key, each, latest)),
      next,
    )
    return answer(right, key, [at], null)
  }),
  answers('an answer that mixes two revisions', 'I3', (right, next) => {
    const { key, older, latest } = one(replaced(right), next)
    return answer(right, key, [latest, one(older, next)], null)
  }),
  answers('an answer with half a document', 'I3', (right, next) => {
    const { key } = one(
      servedChunks(right).filter(({ payload }) => payload.ordinal === 1),
      next,
    ).payload
    const last = right.world.answers.findLast(({ hits }) => hits.some((hit) => hit.key === key))!
    return { ...last, hits: last.hits.filter((hit) => hit.key !== key || hit.ordinal !== 1) }
  }),
  answers('an answer with a deleted document', 'I4', (right, next) => {
    const { key, older } = one(goneKeys(right), next)
    return answer(right, key, [one(older, next)], null)
  }),
  answers('an answer that is older than it says', 'I4', (right, next) => {
    const { key, older } = one(goneKeys(right), next)
    const ends = new Map(right.world.documents.ends.map(({ partition, end }) => [partition, end - 1]))
    return { ...answer(right, key, [one(older, next)], ends), reader: 'a new reader' }
  }),
  answers(
    'a look at the index in which a document is not there yet, though the watermark says so',
    'I7',
    (right, next) => {
      const { key } = one(servedChunks(right), next).payload
      const ends = new Map(right.world.documents.ends.map(({ partition, end }) => [partition, end - 1]))
      const tenant = String(key).split('/')[0]!
      return {
        reader: 'a new reader',
        tenant,
        atMs: 0,
        lows: ends,
        hits: [],
        whole: [],
        deleted: [],
        absent: [String(key)],
      }
    },
  ),
  answers('a look at a manifest that has not seen what the watermark has passed', 'I7', (right, next) => {
    const { key, latest } = one(replaced(right), next)
    const ends = new Map(right.world.documents.ends.map(({ partition, end }) => [partition, end - 1]))
    return { ...answer(right, key, [latest], ends), reader: 'a new reader', seen: new Map([[key, latest - 1]]) }
  }),
  answers('an answer to one tenant with a document of another', 'I10', (right, next) => {
    const { key, latest } = one(replaced(right), next)
    const other = String(key).startsWith('acme/') ? 'zenith' : 'acme'
    return { ...answer(right, key, [latest], null), tenant: other, reader: 'a new reader' }
  }),
  answers('an answer with another tenant’s text under an own name', 'I10', (right, next) => {
    const { key, latest } = one(replaced(right), next)
    const other = String(key).startsWith('acme/') ? 'zenith' : 'acme'
    const { text } = one(
      servedChunks(right).filter(
        ({ payload }) => payload.tenant === other && String(payload.text).startsWith('Revision'),
      ),
      next,
    ).payload
    const own = answer(right, key, [latest], null)
    return { ...own, hits: own.hits.map((hit) => ({ ...hit, text: String(text) })) }
  }),
  {
    name: 'a process that keeps its memory, its sockets or its queue',
    invariant: 'I9',
    mutate({ world }, next) {
      const [sample] = world.resources
      const kept = one([{ heldBytes: 9e8 }, { residentBytes: 2e9 }, { openFiles: 400 }, { queued: 3 }], next)
      return { ...world, resources: [{ ...sample!, after: { ...sample!.after, ...kept } }] }
    },
  },
]

function points(
  name: string,
  invariant: Invariant,
  mutate: (right: RightWorld, next: Next) => readonly Point[],
): Mutation {
  return { name, invariant, mutate: (right, next) => ({ ...right.world, points: mutate(right, next) }) }
}

function log(name: string, mutate: (world: World, next: Next) => World['documents']['records']): Mutation {
  return {
    name,
    invariant: 'I6',
    mutate: ({ world }, next) => ({ ...world, documents: { ...world.documents, records: mutate(world, next) } }),
  }
}

function answers(name: string, invariant: Invariant, mutate: (right: RightWorld, next: Next) => Answer): Mutation {
  return {
    name,
    invariant,
    mutate: (right, next) => ({ ...right.world, answers: [...right.world.answers, mutate(right, next)] }),
  }
}

const changed = (point: Point, fields: Readonly<Record<string, unknown>>): Point => ({
  ...point,
  payload: { ...point.payload, ...fields },
})

const with_ = ({ world }: RightWorld, old: Point, point: Point): Point[] =>
  world.points.map((each) => (each === old ? point : each))

const without = ({ world }: RightWorld, key: string): Point[] =>
  world.points.filter(({ payload }) => payload.key !== key)

const revision = (right: RightWorld, key: string, offset: number): Point[] => {
  const { manifest, chunks } = right.pointsOf(key, offset)!
  return [manifest, ...chunks]
}

function servedChunks({ world }: RightWorld): Point[] {
  const contents = new Map(
    world.points.filter((point) => kindOf(point) === 'manifest').map(({ payload }) => [payload.key, payload.content]),
  )
  return world.points.filter(
    (point) => kindOf(point) === 'chunk' && contents.get(point.payload.key) === point.payload.fence,
  )
}

interface Key {
  readonly key: string
  readonly latest: number
  /** Offsets of former revisions that were served. */
  readonly older: readonly number[]
}

/** Documents that are served, by their own content, and had another one before. */
function replaced(right: RightWorld): Key[] {
  const served = new Map(servedChunks(right).map(({ payload }) => [String(payload.key), Number(payload.offset)]))
  return [...served].flatMap(([key, latest]) => {
    const text = textAt(right, key, latest)
    const older = offsetsOf(right, key).filter((at) => at < latest && textAt(right, key, at) !== text)
    return older.length > 0 ? [{ key, latest, older }] : []
  })
}

/** Documents that are deleted or rejected, and were served before. */
function goneKeys(right: RightWorld): Key[] {
  return right.world.points
    .filter((point) => kindOf(point) === 'manifest' && point.payload.deleted === true)
    .flatMap(({ payload }) => {
      const key = String(payload.key)
      const older = offsetsOf(right, key)
      const seen = right.world.answers.some(({ deleted }) => deleted.some((each) => each.key === key))
      return older.length > 0 && seen ? [{ key, latest: Number(String(payload.fence).split(':')[1]), older }] : []
    })
}

const offsetsOf = (right: RightWorld, key: string): number[] =>
  right.world.documents.records
    .filter((record) => record.key?.toString('utf8') === key && right.pointsOf(key, record.offset) !== null)
    .map(({ offset }) => offset)

/** Whether the document was gone in between. */
const gone = ({ world }: RightWorld, key: string, from: number, to: number): boolean =>
  world.documents.records.some(
    (record) => record.key?.toString('utf8') === key && record.offset > from && record.offset <= to && !record.document,
  )

const textAt = (right: RightWorld, key: string, offset: number): unknown =>
  right.pointsOf(key, offset)?.chunks[0]?.payload.text

/** An answer of the reader who saw everything, with these revisions of one document. */
function answer(right: RightWorld, key: string, offsets: readonly number[], lows: Answer['lows']): Answer {
  const last = right.world.answers.findLast(({ tenant }) => key.startsWith(`${tenant}/`))!
  const hits = offsets.flatMap((offset) =>
    right
      .pointsOf(key, offset)!
      .chunks.map(({ payload }) => ({ key, offset, ordinal: Number(payload.ordinal), text: String(payload.text) })),
  )
  return { ...last, hits, lows, whole: [], deleted: [] }
}

function wrongVector(right: RightWorld, next: Next, name: string): Point[] {
  const chunk = one(servedChunks(right), next)
  const told = chunk.vectors[name]!
  const at = told.indexOf(' ') + 1
  const bytes = Buffer.from(told.slice(at), 'hex')
  const place = Math.floor((next() * bytes.length) / 4) * 4
  bytes.writeFloatLE(bytes.readFloatLE(place) + 0.01, place)
  return with_(right, chunk, {
    ...chunk,
    vectors: { ...chunk.vectors, [name]: `${told.slice(0, at)}${bytes.toString('hex')}` },
  })
}

function ingested({ documents, sent }: World): World['documents']['records'] {
  const direct = new Set(
    sent.filter(({ door }) => door === 'documents').map(({ partition, offset }) => `${partition}/${offset}`),
  )
  return documents.records.filter(({ partition, offset }) => !direct.has(`${partition}/${offset}`))
}

/** Later than every marker that was written. */
const LAST_MS = 8_640_000_000_000_000
