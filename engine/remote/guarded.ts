import { Retry } from '../../streams/errors.ts'
import { goldenTexts } from '../fingerprint.ts'
import { type Golden, goldenOf, nearness } from './golden.ts'
import type { RemoteEngine } from './remote-engine.ts'

export interface GuardOptions {
  readonly records: GoldenRecords
  /** Nearer than this a golden text must stay to what it was. */
  readonly cosineMin: number
  /** How old a comparison may be, ms. */
  readonly everyMs: number
  readonly now: () => number
}

/** Where it is written down what the golden texts of a space had for vectors. */
export interface GoldenRecords {
  read(space: string): Promise<Golden | null>
  /** At the first use; null: this process may not. */
  readonly write: ((space: string, golden: Golden) => Promise<void>) | null
}

export interface GuardedEngine extends RemoteEngine {
  /** Compares, if it is time to. Rejects with `Retry` while the service does not embed, or is another model. */
  check(): Promise<void>
}

/**
 * Nobody outside sees which weights a service runs, so it is seen by what they do: at the start, after every time when it did not answer, and
 * every so often the golden texts are embedded and compared with what they were when the space was first used. While they
 * are further off than the floor nothing is embedded, and a vector that was made while the service was away is given out after the comparison.
 */
export function guarded(engine: RemoteEngine, { records, cosineMin, everyMs, now }: GuardOptions): GuardedEngine {
  let fingerprint: string | null = null
  let good: { readonly at: number; readonly unanswered: number } | null = null
  let comparing: Promise<void> | null = null
  const isGood = () => good !== null && now() - good.at < everyMs && good.unanswered === engine.remote().unanswered

  const compare = async (): Promise<void> => {
    const { unanswered, where } = engine.remote()
    const vectors = await engine.embed(goldenTexts, { as: 'document' })
    const present = goldenOf(vectors, now())
    fingerprint = present.fingerprint
    const recorded = await records.read(engine.space.id)
    if (recorded === null) await records.write?.(engine.space.id, present)
    else if (recorded.fingerprint !== present.fingerprint) {
      const near = nearness(recorded, vectors)
      // Not a number would be near to nothing.
      if (!(near >= cosineMin)) {
        good = null
        engine.forget()
        throw changed(engine, { where, recorded, present, near, cosineMin })
      }
    }
    good = { at: now(), unanswered }
  }
  /** One for all who wait. */
  const check = async (): Promise<void> => {
    if (isGood()) return
    comparing ??= compare().finally(() => {
      comparing = null
    })
    await comparing
  }
  return {
    ...engine,
    get fingerprint() {
      return fingerprint
    },
    check,
    async embed(texts, options) {
      options.signal?.throwIfAborted()
      if (texts.length === 0) return []
      await orAborted(check(), options.signal)
      const vectors = await engine.embed(texts, options)
      await orAborted(check(), options.signal)
      return vectors
    },
  }
}

/** The comparison is for others too, so it goes on. */
async function orAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

interface Change {
  readonly where: string
  readonly recorded: Golden
  readonly present: Golden
  readonly near: number
  readonly cosineMin: number
}

function changed(engine: RemoteEngine, { where, recorded, present, near, cosineMin }: Change): Retry {
  const { id, model } = engine.space
  const was = `${recorded.fingerprint.slice(0, 16)} (${new Date(recorded.at).toISOString()})`
  return new Retry(
    `the embedding service at ${where} has another model under the name ${model}: the golden texts of space ${id} had the fingerprint ${was} and have ${present.fingerprint.slice(0, 16)}, with a cosine of ${near.toFixed(4)} where ${cosineMin} is the least. Nothing is embedded with it, so that the space holds no two kinds of vectors. Put the former model back; or give the new one another FRESHET_EMBEDDING_REVISION, which makes it a space of its own, to be filled from documents`,
    { state: 'embedding-model-changed', retryAfterMs: CHANGED_RETRY_MS },
  )
}

const CHANGED_RETRY_MS = 5_000
