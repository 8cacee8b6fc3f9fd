import type { SearchAnswer } from '../../client/client.ts'
import { denseName } from '../../connectors/qdrant/points.ts'
import type { Engine } from '../../engine/embedder.ts'
import { spaceOfCollection } from '../../processors/collections.ts'
import { pointsOf } from '../index-points.ts'
import type { Platform } from '../platform.ts'

/** An answer as it was given, with what explains it. */
export interface Explained {
  readonly tenant: string
  readonly query: string
  readonly answer: SearchAnswer
}

export interface ScoreCheck {
  answers: number
  /** Hits whose point is still there, of the same revision. */
  compared: number
  /** Of these: the question and the chunk, both in the space that the answer names, do not make its score. */
  mixed: number
  /** Of these: those that the other space would have explained as well. Many: the check sees nothing. */
  explainedByTheOther: number
  differenceMax: number
}

/**
 * Whether each hit's score is that of its question and its chunk in one space, the one that the answer names: the question is embedded here, and
 * the chunk's vector is read from Qdrant.
 */
export async function checkScores(
  explained: readonly Explained[],
  platform: Platform,
  collections: readonly string[],
  engines: ReadonlyMap<string, Engine>,
  found: ScoreCheck,
): Promise<void> {
  const vectors = new Map<string, Map<string, Float32Array>>()
  for (const collection of collections) {
    const space = spaceOfCollection(collection, platform.scope.prefix)!
    vectors.set(space, await chunksOf({ ...platform, collection }, space))
  }
  const asked = new Map<string, Float32Array>()
  const embedded = async (space: string, query: string): Promise<Float32Array> => {
    const known = asked.get(`${space}\n${query}`) ?? (await engines.get(space)!.embed([query], { as: 'query' }))[0]!
    asked.set(`${space}\n${query}`, known)
    return known
  }
  for (const { tenant, query, answer } of explained) {
    found.answers++
    const space = answer.space ?? 'none named'
    const other = [...engines.keys()].find((each) => each !== space)!
    for (const { documentId, ordinal, revision, explain } of answer.hits) {
      const place = `${tenant}/${documentId}\n${ordinal}\n${revision}`
      const score = explain?.dense?.score
      const chunk = vectors.get(space)?.get(place)
      if (score === undefined || chunk === undefined) continue
      found.compared++
      const difference = Math.abs(score - dot(await embedded(space, query), chunk))
      found.differenceMax = Math.max(found.differenceMax, difference)
      if (difference > SCORE_DIFFERENCE_MAX) found.mixed++
      const elsewhere = vectors.get(other)?.get(place)
      if (elsewhere === undefined) continue
      const crossed = [dot(await embedded(other, query), elsewhere), dot(await embedded(other, query), chunk)]
      if (crossed.some((each) => Math.abs(score - each) <= SCORE_DIFFERENCE_MAX)) found.explainedByTheOther++
    }
  }
}

async function chunksOf(platform: Platform, space: string): Promise<Map<string, Float32Array>> {
  const chunks = new Map<string, Float32Array>()
  for (const { payload, vectors } of await pointsOf(platform)) {
    const hex = vectors[denseName(space)]?.trim()
    if (payload.kind !== 'chunk' || hex === undefined) continue
    const revision = String(payload.fence).split(':').slice(0, 2).join(':')
    const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
    chunks.set(`${payload.key}\n${payload.ordinal}\n${revision}`, new Float32Array(bytes.buffer))
  }
  return chunks
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, each, i) => sum + each * b[i]!, 0)

/** Qdrant adds up in another order, in 32 bits. */
const SCORE_DIFFERENCE_MAX = 1e-4
