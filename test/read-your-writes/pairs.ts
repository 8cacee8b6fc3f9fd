import { setTimeout as delay } from 'node:timers/promises'
import { FreshetError, type PublishItem, type SearchAnswer } from '../../client/client.ts'
import { positionsOf } from '../../search/freshness.ts'
import type { Door } from './doors.ts'
import type { Content, Position, Read, Write } from './judge.ts'

export interface PairsOptions {
  readonly doors: readonly Door[]
  readonly tenant: string
  readonly next: () => number
  /** Pairs under way at a time whose time is so long that it is mostly enough. */
  readonly patient: number
  /** And of those whose time is short, so that it often is not. */
  readonly hasty: number
  /** A share of searches that do not ask for what was written, although they count as if they did: a fault that must be found. */
  readonly unasked?: number
}

/** What was published and then searched for, one pair after the other in each of several loops, over all keys. */
export class Pairs {
  readonly writes: Write[] = []
  readonly reads: Read[] = []
  /** Those that were not met in time. */
  readonly unmet: Unmet[] = []
  /** ms from a search to its answer, where the bound was met. */
  readonly metMs: number[] = []
  /** Pairs that ended, by what they were; errors by their code. */
  readonly counts: Record<string, number> = {}
  readonly #options: PairsOptions
  #marks = 0
  #stopped = false

  constructor(options: PairsOptions) {
    this.#options = options
  }

  get satisfied(): number {
    return this.counts.satisfied ?? 0
  }

  stop(): void {
    this.#stopped = true
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    const { patient, hasty } = this.#options
    const loops = [...Array(patient).fill(PATIENT_MS), ...Array(hasty).fill(HASTY_MS)]
    await Promise.all(loops.map((timeoutsMs) => this.#loop(timeoutsMs)))
  }

  async #loop(timeoutsMs: readonly number[]): Promise<void> {
    while (!this.#stopped) {
      const written = await this.#publish()
      if (written === null) await delay(AGAIN_MS)
      else await this.#search(written, one(timeoutsMs, this.#options.next))
    }
  }

  async #publish(): Promise<Written | null> {
    const { next, doors, tenant } = this.#options
    const id = `pair${String(Math.floor(next() * KEYS)).padStart(4, '0')}`
    const key = `${tenant}/${id}`
    const { document, content, what } = this.#document(id)
    const door = one(doors, next)
    const sentAt = performance.now()
    // Known before it is sent: whoever reads meanwhile may see it.
    const at = this.writes.push({ key, position: null, content, sentAt }) - 1
    try {
      const token = await door.publish(document)
      const position = onlyPositionIn(token)
      this.writes[at] = { key, position, content, sentAt }
      return { id, key, token, position, what, door }
    } catch (error) {
      this.#failed('publish', error)
      return null
    }
  }

  /** Mostly another text; a deletion; now and then one that can never be indexed, which is found out only when it is cut. */
  #document(id: string): { document: PublishItem; content: Content; what: string } {
    const { next } = this.#options
    const kind = next()
    if (kind < 0.2) return { document: { id, delete: true }, content: null, what: 'deletions' }
    if (kind < 0.205) return { document: { id, text: 'a '.repeat(WORDS_TOO_MANY) }, content: null, what: 'rejected' }
    const mark = `mark${++this.#marks}`
    const paragraphs = Array.from({ length: 1 + Math.floor(next() * 3) }, (_, i) => `Part ${i} of ${id}, ${mark}.`)
    return { document: { id, text: paragraphs.join('\n\n') }, content: mark, what: 'texts' }
  }

  async #search({ id, key, token, position, what, door: writer }: Written, timeoutMs: number): Promise<void> {
    const { next, doors, unasked = 0 } = this.#options
    const others = doors.filter(({ behind }) => behind !== writer.behind)
    const door = one(others, next)
    const onTimeout = one(['error', 'stale'] as const, next)
    const freshness = next() < unasked ? 'any' : { after: token, timeoutMs, onTimeout }
    const mode = one(['keyword', 'hybrid'] as const, next)
    const told = `${writer.name}, then ${door.name}`
    const control = timeoutMs <= CONTROL_MS_MAX ? lateTimer(timeoutMs) : null
    const began = performance.now()
    try {
      const answer = await door.search({ query: id, k: 10, mode, freshness, explain: true })
      const answeredAt = performance.now()
      const read = {
        key,
        what: `${told}, ${mode}`,
        after: answer.stale ? null : position,
        asOf: lowsIn(answer),
        found: marksIn(answer, id),
        answeredAt,
      }
      this.reads.push(read)
      if (!answer.stale) {
        this.#count('satisfied')
        this.#count(`satisfied ${what}`)
        this.#count(`satisfied from ${told}`)
        this.metMs.push(answeredAt - began)
      } else {
        const { embed, search, wait = 0 } = answer.ms
        await this.#late('stale', answeredAt - began - timeoutMs, control, embed + search + wait - timeoutMs)
      }
    } catch (error) {
      const lateMs = performance.now() - began - timeoutMs
      if (error instanceof FreshetError && error.code === 'timeout') {
        this.#timeoutsMs += timeoutMs
        await this.#late('error', lateMs, control, null)
      } else this.#failed('search', error)
    } finally {
      control?.end()
    }
  }

  #timeoutsMs = 0
  /** What was asked for in all searches that ended with the error `timeout`, ms. */
  get timeoutsMs(): number {
    return this.#timeoutsMs
  }

  async #late(
    answered: Unmet['answered'],
    lateMs: number,
    control: Control | null,
    ownLateMs: number | null,
  ): Promise<void> {
    this.#count(`unmet, answered ${answered}`)
    this.unmet.push({ answered, lateMs, ownLateMs, controlMs: control === null ? null : await control.lateMs })
  }

  #failed(what: string, error: unknown): void {
    if (!(error instanceof FreshetError)) throw error
    this.#count(`${what} failed with ${error.code}`)
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

/** A bound that was not met in time. */
export interface Unmet {
  readonly answered: 'error' | 'stale'
  /** From the end of its time to the answer, as the client saw it. */
  readonly lateMs: number
  /** The same as the query service saw it; null: it does not say. */
  readonly ownLateMs: number | null
  /** How late a timer of the client was that began with the search: none of this is the platform's. */
  readonly controlMs: number | null
}

interface Written {
  readonly id: string
  readonly key: string
  readonly token: string
  readonly position: Position
  /** Of the three kinds. */
  readonly what: string
  readonly door: Door
}

interface Control {
  readonly lateMs: Promise<number>
  end(): void
}

function lateTimer(ms: number): Control {
  const began = performance.now()
  const ended = new AbortController()
  const lateMs = delay(ms, undefined, { signal: ended.signal }).then(
    () => performance.now() - began - ms,
    () => 0,
  )
  return { lateMs, end: () => ended.abort() }
}

function onlyPositionIn(token: string): Position {
  const [[partition, at] = []] = Object.entries(positionsOf(token)!.documents)
  return { partition: Number(partition), offset: [at].flat()[0] as number }
}

function lowsIn({ asOf }: SearchAnswer): ReadonlyMap<number, number> {
  const { documents } = positionsOf(asOf.token)!
  return new Map(Object.entries(documents).map(([partition, low]) => [Number(partition), Number(low)]))
}

function marksIn({ hits }: SearchAnswer, id: string): string[] {
  const own = hits.filter(({ documentId }) => documentId === id)
  return [...new Set(own.map(({ text }) => /\bmark\d+\b/.exec(text)?.[0] ?? 'no mark'))]
}

const one = <T>(of: readonly T[], next: () => number): T => of[Math.floor(next() * of.length)]!

const KEYS = 400
/** More chunks than a document may have. */
const WORDS_TOO_MANY = 300_000
const PATIENT_MS = [10_000, 20_000]
const HASTY_MS = [0, 50, 100, 250, 500, 1_000]
/** A pair is not kept by its control longer than this. */
const CONTROL_MS_MAX = 1_000
const AGAIN_MS = 50
