import { compareFences } from '../processors/fence.ts'
import { type ChunkPoint, placesOf } from '../processors/index-contents.ts'
import type { Manifest } from '../processors/vector-index.ts'
import { type Expected, type Fault, faultOf, type Held, isServing } from './findings.ts'
import type { LatestRevisions } from './latest-revisions.ts'
import { type AuditWorld, lowOf, offsetsOf } from './world.ts'

/** A document, judged by what was read of it in one moment. */
export interface Judged {
  readonly key: string
  readonly held: Held
  readonly expected: Expected
  readonly fault: Fault | null
}

export interface ConfirmContext {
  readonly world: AuditWorld
  readonly partition: number
  readonly latest: LatestRevisions
  read(points: number): Promise<void>
}

/**
 * Looks at suspects again, so that no traffic beside the audit makes a fault: first how far the index is, then the manifests and
 * chunks, then what has come to `documents`, then the manifests and the watermark once more. A document that moves meanwhile
 * is looked at again, and left alone if it does not stand still: the next audit sees it.
 */
export async function* confirm(context: ConfirmContext, suspects: readonly string[]): AsyncGenerator<Judged> {
  for (let first = 0; first < suspects.length; first += KEYS_PER_ROUND) {
    let open: readonly string[] = suspects.slice(first, first + KEYS_PER_ROUND)
    for (let round = 1; open.length > 0 && round <= ROUNDS_MAX; round++) {
      const moving: string[] = []
      for (const keys of await portions(context, open)) {
        for (const each of await look(context, keys)) {
          if (typeof each === 'string') moving.push(each)
          else yield each
        }
      }
      open = moving
    }
  }
}

/** Judged, or only the key where it moved meanwhile. */
async function look({ world, partition, latest, read }: ConfirmContext, keys: readonly string[]) {
  const { contents, epoch } = world
  const lowBefore = await lowOf(world, partition)
  const manifests = await contents.manifestsOf(keys)
  const chunks = await chunksOf(world, keys, manifests)
  await latest.readTo((await offsetsOf(world, partition)).end)
  await world.check()
  const after = await contents.manifestsOf(keys)
  // Lower than before: the index was set back to an older copy meanwhile.
  const low = Math.min(lowBefore, await lowOf(world, partition))
  await read(2 * keys.length + [...chunks.values()].reduce((sum, { length }) => sum + length, 0))
  return keys.flatMap((key, i): (Judged | string)[] => {
    if (!isSame(manifests[i]!, after[i]!)) return [key]
    const held: Held = { key, manifest: manifests[i]!, chunks: chunks.get(key) ?? [] }
    const expected: Expected = { epoch, space: contents.space, low, latest: latest.of(key) }
    return [{ key, held, expected, fault: faultOf(held, expected) }]
  })
}

/** What says that it is of these documents, and what lies where their chunks must lie. */
async function chunksOf(
  { contents }: AuditWorld,
  keys: readonly string[],
  manifests: readonly (Manifest | null)[],
): Promise<Map<string, ChunkPoint[]>> {
  const chunks = new Map(keys.map((key) => [key, new Map<string, ChunkPoint>()]))
  for (const chunk of await contents.chunksOf(keys)) chunks.get(chunk.payload!.key)?.set(chunk.id, chunk)
  const places = manifests
    .filter(isServing)
    .flatMap(({ key, content, chunks: count }) => placesOf({ key, fence: content, count }))
  for (const [i, chunk] of (await contents.chunksAt(places)).entries())
    if (chunk !== null) chunks.get(places[i]!.key)!.set(chunk.id, chunk)
  return new Map([...chunks].map(([key, byId]) => [key, [...byId.values()]]))
}

/** Keys whose chunks are not too many to be in memory at once. */
async function portions({ world: { contents } }: ConfirmContext, keys: readonly string[]): Promise<string[][]> {
  const manifests = await contents.manifestsOf(keys)
  const made: string[][] = [[]]
  let chunks = 0
  for (const [i, key] of keys.entries()) {
    chunks += manifests[i]?.chunks ?? 1
    if (chunks > CHUNKS_PER_LOOK && made.at(-1)!.length > 0) {
      made.push([])
      chunks = manifests[i]?.chunks ?? 1
    }
    made.at(-1)!.push(key)
  }
  return made.filter(({ length }) => length > 0)
}

const isSame = (a: Manifest | null, b: Manifest | null): boolean =>
  a === null || b === null ? a === b : compareFences(a.fence, b.fence) === 0

const KEYS_PER_ROUND = 200
const CHUNKS_PER_LOOK = 2_000
const ROUNDS_MAX = 3
