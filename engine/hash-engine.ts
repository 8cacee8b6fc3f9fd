import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Engine } from './embedder.ts'
import { murmur3 } from './murmur3.ts'
import { spaceId } from './space.ts'
import { split } from './splitting.ts'
import { documentTerms, queryTerms, termCounts } from './terms.ts'
import type { Words } from './units.ts'

const dimensions = 64

/** Its versions differ in what they hash: each is a space of its own. */
export const hashVersions = ['1', '2'] as const
export type HashVersion = (typeof hashVersions)[number]

const spaceIds: Readonly<Record<HashVersion, string>> = {
  '1': 'es_68617368656e6769',
  '2': spaceId({ engine: 'hash', version: '2' }),
}

/**
 * The engine without a model, for tests and simulations: texts that share terms have near vectors. Same input, same bytes.
 * Few tokens for a chunk make small documents of several chunks.
 */
export function hashEngine({
  maxTokens = 256,
  version = '1',
}: {
  maxTokens?: number
  version?: HashVersion
} = {}): Engine {
  const totals = { texts: 0, tokens: 0, truncated: 0, runMs: 0 }
  let closed = false
  return {
    space: { id: spaceIds[version], model: 'hash', dimensions, maxTokens },
    fingerprint: createHash('sha256').update(`hash engine ${version}`).digest('hex'),
    split: (text) => split(text, async (piece) => wordsOf(piece), maxTokens - 2),
    async embed(texts, { signal }) {
      signal?.throwIfAborted()
      if (closed) throw new Error('the engine is closed')
      await setImmediate(undefined, { signal }).catch(() => signal?.throwIfAborted())
      return texts.map((text) => {
        const started = performance.now()
        const vector = vectorOf(text, version)
        totals.texts += 1
        totals.tokens += wordsOf(text).starts.length + 2
        totals.runMs += performance.now() - started
        return vector
      })
    },
    documentTerms,
    queryTerms,
    stats: () => ({ ...totals, queued: 0, restarts: [] }),
    async close() {
      closed = true
    },
  }
}

/** Each word and each mark is one token. */
function wordsOf(text: string): Words {
  const found = [...text.matchAll(/[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}\s]/gu)]
  return {
    starts: Uint32Array.from(found, ({ index }) => index),
    ends: Uint32Array.from(found, (match) => match.index + match[0].length),
    tokens: new Uint32Array(found.length).fill(1),
  }
}

/** Each term adds to four dimensions, with signs, by its hash; a text without terms is hashed as a whole. */
function vectorOf(text: string, version: HashVersion): Float32Array {
  const vector = new Float32Array(dimensions)
  const counts = termCounts(text, null)
  const salt = version === '1' ? '' : `${version} `
  if (counts.size === 0) counts.set(`text ${text}`, 1)
  for (const [term, count] of counts) {
    for (let k = 0; k < 4; k++) {
      const hash = murmur3(`${salt}${k} ${term}`)
      vector[hash % dimensions]! += hash & 0x10000 ? Math.sqrt(count) : -Math.sqrt(count)
    }
  }
  const norm = Math.hypot(...vector)
  if (norm === 0) vector[0] = 1
  else for (let d = 0; d < dimensions; d++) vector[d]! /= norm
  return vector
}
