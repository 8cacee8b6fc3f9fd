import { setTimeout as delay } from 'node:timers/promises'
import type { Client, SearchAnswer, SearchHit, StandingState } from '../../client/client.ts'
import { FreshetError } from '../../client/client.ts'
import { reasonOf } from '../../streams/errors.ts'
import type { Explained } from './scores.ts'

/** One who asks and writes, over a WebSocket of its own. */
export interface Caller {
  readonly tenant: string
  readonly client: Client
}

export interface ReadersOptions {
  readonly asked: readonly string[]
  readonly random: () => number
  /** One of so many answers is kept, for its scores. */
  readonly keptOneOf: number
  readonly stopped: AbortSignal
}

/** All that is asked, and what was wrong with the answers. */
export class Readers {
  searches = 0
  readonly failed: string[] = []
  empty = 0
  /** Reads of what the reader itself had written before, by what it asked for. */
  readonly own = { met: 0, unmet: 0, wentBack: [] as string[] }
  readonly latencies: number[] = []
  /** How many answers each space gave to each tenant in each phase. */
  readonly answers: Record<string, number> = {}
  /** Of each reader, the spaces that answered it, one after the other. */
  readonly turns: string[][] = []
  readonly explained: Explained[] = []
  phase = 'before'
  readonly #options: ReadersOptions

  constructor(options: ReadersOptions) {
    this.#options = options
  }

  /** Questions that always have hits. */
  async ask({ client, tenant }: Caller): Promise<void> {
    const { asked, random, keptOneOf, stopped } = this.#options
    const turns: string[] = []
    this.turns.push(turns)
    while (!stopped.aborted) {
      const query = asked[Math.floor(random() * asked.length)]!
      const mode = random() < 0.5 ? 'dense' : 'hybrid'
      const answer = await this.#search(tenant, () => client.search({ query, mode, k: 10, explain: true }))
      if (answer === null) continue
      if (answer.hits.length === 0) this.empty++
      if (turns.at(-1) !== answer.space) turns.push(answer.space!)
      if (this.searches % keptOneOf === 0) this.explained.push({ tenant, query, answer })
    }
  }

  /** Writes, changes or deletes a document of its own, then asks for at least that. */
  async readOwn({ client, tenant }: Caller, name: string): Promise<void> {
    const { random, stopped } = this.#options
    const pause = () => delay(OWN_EVERY_MS, undefined, { signal: stopped }).catch(() => {})
    for (let i = 0; !stopped.aborted; i++, await pause()) {
      const id = `own-${name}-${i % 20}`
      const mark = random() < 0.25 ? null : `mark${name}${i}`
      const written = mark === null ? { id, delete: true as const } : { id, text: `The note of ${name}: ${mark}.` }
      const token = await client.publish([written]).then(
        (answer) => answer.token,
        (error: Error) => void this.failed.push(`a publish: ${reasonOf(error)}`),
      )
      if (token === undefined) continue
      const freshness = { after: token, timeoutMs: OWN_MS_MAX, onTimeout: 'error' as const }
      const query = `the note of ${name}`
      const answer = await this.#search(tenant, () =>
        client.search({ query, k: 50, mode: 'keyword', freshness, explain: true }),
      )
      if (answer === null) continue
      this.own.met++
      const found = answer.hits.filter(({ documentId }) => documentId === id).map(({ text }) => text)
      const isRight = mark === null ? found.length === 0 : found.length === 1 && found[0]!.includes(`${mark}.`)
      if (!isRight) this.own.wentBack.push(`${id} in ${answer.space}: ${mark ?? 'nothing'} is shown as ${found}`)
    }
  }

  async #search(tenant: string, search: () => Promise<SearchAnswer>): Promise<SearchAnswer | null> {
    const began = performance.now()
    const during = this.phase
    try {
      const answer = await search()
      this.latencies.push(performance.now() - began)
      const told = `${during}, ${tenant}, ${answer.space ?? 'none named'}`
      this.answers[told] = (this.answers[told] ?? 0) + 1
      return answer
    } catch (error) {
      if (error instanceof FreshetError && error.code === 'timeout') this.own.unmet++
      else if (!this.#options.stopped.aborted) this.failed.push(`a search: ${reasonOf(error)}`)
      return null
    } finally {
      this.searches++
    }
  }
}

/** A standing query, as its client has it. */
export class Standing {
  readonly caller: Caller
  readonly query: string
  /** One after the other; each began with a snapshot. */
  readonly epochs: string[] = []
  /** States of another epoch that did not say that the list begins anew. */
  unsaid = 0
  states = 0
  hits: readonly SearchHit[] = []
  readonly running: Promise<void>

  constructor(caller: Caller, query: string, signal: AbortSignal) {
    this.caller = caller
    this.query = query
    this.running = this.#follow(signal).catch((error: Error) => {
      if (!signal.aborted) throw error
    })
    this.running.catch(() => {})
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const state of this.caller.client.subscribe({ query: this.query, k: 10 }, { signal })) this.#take(state)
  }

  #take({ hits, epoch, recovered, asOf }: StandingState): void {
    if (asOf === null) return
    this.states++
    this.hits = hits
    if (epoch === this.epochs.at(-1)) return
    if (recovered) this.unsaid++
    this.epochs.push(epoch)
  }

  /** Whether it has what a search that compares every point finds. */
  async isRight(): Promise<boolean> {
    return (await this.difference()) === ''
  }

  /** In words; empty: there is none. */
  async difference(): Promise<string> {
    const { hits } = await this.caller.client.search({ query: this.query, k: 10, exact: true })
    const [found, own] = [hits, this.hits].map((each) =>
      each.map(({ hitId, score }) => `${hitId}=${score.toFixed(5)}`).join(),
    )
    return found === own ? '' : `${this.caller.tenant}, ${this.query}: has ${own}, and a search finds ${found}`
  }
}

const OWN_EVERY_MS = 500
/** A machine that does other things too takes its time. */
const OWN_MS_MAX = 30_000
