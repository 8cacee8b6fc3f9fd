import type { Engine } from '../../engine/embedder.ts'
import type { Clock } from '../../streams/clock.ts'

export interface Shadow {
  /** Whether the engine's own space is the one that answers, now. */
  serves(): boolean
  /** Texts that wait for the engine of the space that answers; 0 where it is not in this process. */
  waiting(): number
  /** Texts at once while it does not serve: half of its threads. */
  readonly textsMax: number
  readonly clock: Pick<Clock, 'wait'>
}

/**
 * An engine that makes way: while its space does not answer, it works on few texts at once, and on none for a moment while
 * texts of the space that does are waiting. It never stands still for good: a live space that is always busy would keep it from ever catching up.
 */
export function shadowEngine(engine: Engine, { serves, waiting, textsMax, clock }: Shadow): Engine {
  let turn: Promise<unknown> = Promise.resolve()

  const oneAtATime = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work, work)
    turn = done.catch(() => {})
    return done
  }
  const makeWay = async (signal: AbortSignal | undefined): Promise<void> => {
    for (let waited = 0; waited < WAITS_MAX && !serves() && waiting() > 0; waited++) {
      signal?.throwIfAborted()
      await clock.wait(WAIT_MS, signal)
    }
    signal?.throwIfAborted()
  }

  return {
    ...engine,
    async embed(texts, options) {
      const vectors: Float32Array[] = []
      while (vectors.length < texts.length) {
        if (serves()) return [...vectors, ...(await engine.embed(texts.slice(vectors.length), options))]
        const some = texts.slice(vectors.length, vectors.length + textsMax)
        const made = await oneAtATime(async () => {
          await makeWay(options.signal)
          return engine.embed(some, options)
        })
        vectors.push(...made)
      }
      return vectors
    },
  }
}

const WAIT_MS = 10
/** A tenth of a second between any two pieces of work, at most. */
const WAITS_MAX = 10
