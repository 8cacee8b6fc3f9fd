import { Reject, Retry } from '../../streams/errors.ts'
import { goldenTexts } from '../fingerprint.ts'
import { type Attempt, RETRY_AFTER_MS_MAX, stepAfter } from './attempts.ts'
import { type BatchBounds, batchOf, turnOf, type Waiting } from './batching.ts'
import { Breaker } from './breaker.ts'
import { Budget, type SpentRecord } from './budget.ts'
import { Rate } from './rate.ts'
import { Counts } from './remote-counts.ts'
import { Salvaged } from './salvaged.ts'
import type { Answer, Transport } from './transport.ts'
import { checkVectors } from './vectors.ts'

export interface Policy {
  readonly batch: BatchBounds
  /** At once. With more than one, the last is kept for queries. */
  readonly requestsMax: number
  readonly timeoutMs: number
  readonly requestsPerMinuteMax: number | null
  readonly tokensPerMinuteMax: number | null
  readonly tokensPerDayMax: number | null
  /** In any currency; null: unknown. */
  readonly pricePerMillionTokens: number | null
}

/** Time and chance are arguments. */
export interface World {
  now(): number
  /** Resolves after the time, or at once when the signal is aborted. Never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>
  random(): number
}

export interface DispatcherOptions {
  readonly transport: Transport
  readonly dimensions: number
  readonly policy: Policy
  readonly spent: SpentRecord
  readonly world: World
  readonly log: { warn(facts: object, message: string): void; info(facts: object, message: string): void }
}

type As = 'document' | 'query'

interface Item extends Waiting {
  settled: boolean
  resolve(vector: Float32Array): void
  reject(error: unknown): void
}

/**
 * Puts the texts of many callers into requests, and brings back a vector for each: in batches, so many at once, queries first, tried again,
 * within rates and budget, behind a circuit breaker. What to do is decided by pure parts; here it is done. A service that is not
 * well is `Retry` for everybody who waits; `Reject` is only for a text that the service refuses by itself while it takes others.
 */
export class Dispatcher {
  readonly counts: Counts
  readonly #options: DispatcherOptions
  readonly #queues: Record<As, Item[]> = { query: [], document: [] }
  readonly #breaker: Breaker
  readonly #requests: Rate
  readonly #tokens: Rate
  readonly #budget: Budget
  readonly #salvaged = new Salvaged()
  readonly #closing = new AbortController()
  #running = 0
  #pausedUntil = 0
  #planned = false
  #wakeAt = Number.POSITIVE_INFINITY
  /** Why nobody is let in, as last said by the service. */
  #trouble = ''
  #unanswered = 0

  constructor(options: DispatcherOptions) {
    const { policy, spent, world } = options
    this.#options = options
    this.#breaker = new Breaker({ failuresMax: 5, openMsMin: 500, openMsMax: 30_000, random: world.random })
    this.#requests = new Rate(policy.requestsPerMinuteMax, world.now())
    this.#tokens = new Rate(policy.tokensPerMinuteMax, world.now())
    this.#budget = new Budget(policy.tokensPerDayMax, spent)
    this.counts = new Counts(policy.pricePerMillionTokens)
  }

  /** Goes up whenever the service did not answer at all: after that it may be another one. */
  get unanswered(): number {
    return this.#unanswered
  }

  get queued(): number {
    return this.#queues.query.length + this.#queues.document.length
  }

  get breaker(): 'closed' | 'open' | 'half-open' {
    return this.#breaker.state(this.#options.world.now())
  }

  /** null: there is no budget. */
  get budgetTokensLeft(): number | null {
    return this.#budget.left(this.#options.world.now())
  }

  /** What everybody would be told now; null: requests go. */
  refusal(): Retry | null {
    const now = this.#options.world.now()
    const openMs = this.#breaker.state(now) === 'open' ? this.#breaker.waitMs(now) : 0
    if (openMs > 0) return this.#retry(this.#trouble, openMs)
    const pausedMs = this.#pausedUntil - now
    return pausedMs > RETRY_AFTER_MS_MAX ? this.#retry(this.#trouble, pausedMs) : null
  }

  async embed(texts: readonly Waiting[], as: As, signal?: AbortSignal): Promise<readonly Float32Array[]> {
    signal?.throwIfAborted()
    if (this.#closing.signal.aborted) throw this.#closing.signal.reason
    const refusal = this.refusal()
    if (refusal !== null) throw refusal
    if (this.queued + texts.length > QUEUE_TEXTS_MAX)
      throw this.#retry(`${this.queued} texts wait for it, and ${QUEUE_TEXTS_MAX} is the limit`, 1_000)
    const items: Item[] = []
    const vectors = texts.map((text) => {
      const known = this.#salvaged.take(as, text.text)
      if (known !== null) return Promise.resolve(known)
      const { promise, resolve, reject } = Promise.withResolvers<Float32Array>()
      const item: Item = {
        ...text,
        settled: false,
        resolve(vector) {
          item.settled = true
          resolve(vector)
        },
        reject(error) {
          item.settled = true
          reject(error)
          // Those of one caller are wanted together. What an outage has left of them is kept for the next attempt.
          if (!(error instanceof Retry)) drop(error)
        },
      }
      items.push(item)
      return promise
    })
    const drop = (error: unknown) => this.#drop(items, error)
    const leave = () => drop(signal!.reason)
    signal?.addEventListener('abort', leave)
    this.#queues[as].push(...items)
    this.#plan()
    const settled = await Promise.allSettled(vectors)
    signal?.removeEventListener('abort', leave)
    const failed = settled.find((each) => each.status === 'rejected')
    if (failed === undefined) return settled.map((each) => (each as PromiseFulfilledResult<Float32Array>).value)
    for (const [i, each] of settled.entries())
      if (each.status === 'fulfilled') this.#salvaged.keep(as, texts[i]!.text, each.value)
    throw failed.reason
  }

  forget(): void {
    this.#salvaged.clear()
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    const reason = new Error('the engine is closed')
    this.#closing.abort(reason)
    this.#dropAll(reason)
    await this.#options.transport.close()
    this.#budget.close()
  }

  #drop(items: readonly Item[], reason: unknown): void {
    for (const item of items) if (!item.settled) item.reject(reason)
    for (const as of ['query', 'document'] as const)
      this.#queues[as] = this.#queues[as].filter(({ settled }) => !settled)
    for (const check of this.#ended) check()
  }

  #dropAll(reason: unknown): void {
    this.#drop([...this.#queues.query, ...this.#queues.document], reason)
  }

  /** Once everybody who asks in this turn of the event loop has asked, so that their texts share requests. */
  #plan(): void {
    if (this.#planned) return
    this.#planned = true
    setImmediate(() => {
      this.#planned = false
      this.#pump()
    })
  }

  #pump(): void {
    const { policy, world } = this.#options
    while (!this.#closing.signal.aborted) {
      const as = turnOf({
        queries: this.#queues.query.length,
        documents: this.#queues.document.length,
        requestsRunning: this.#running,
        requestsMax: policy.requestsMax,
      })
      if (as === null) return
      // What is left of the day's budget is used to its end.
      const tokensMax = Math.min(policy.batch.tokensMax, this.budgetTokensLeft ?? Number.POSITIVE_INFINITY)
      const size = batchOf(this.#queues[as], { ...policy.batch, tokensMax })
      const tokens = tokensOf(this.#queues[as].slice(0, size))
      const refusal = this.refusal() ?? this.#overBudget(tokens)
      if (refusal !== null) return this.#dropAll(refusal)
      const now = world.now()
      const waitMs = Math.max(
        this.#breaker.waitMs(now),
        this.#pausedUntil - now,
        this.#requests.waitMs(1, now),
        this.#tokens.waitMs(tokens, now),
      )
      if (waitMs > 0) return this.#wakeIn(waitMs)
      void this.#run(this.#queues[as].splice(0, size), as)
    }
  }

  #wakeIn(ms: number): void {
    const { world } = this.#options
    const at = world.now() + ms
    // Whoever holds up the others wakes them when it is through.
    if (ms === Number.POSITIVE_INFINITY || at >= this.#wakeAt) return
    this.#wakeAt = at
    void world.wait(ms, this.#closing.signal).then(() => {
      if (this.#wakeAt === at) this.#wakeAt = Number.POSITIVE_INFINITY
      this.#pump()
    })
  }

  async #run(items: readonly Item[], as: As): Promise<void> {
    this.#running += 1
    try {
      await this.#carry(items, as)
    } catch (error) {
      this.#drop(items, error)
    } finally {
      this.#running -= 1
      this.#pump()
    }
  }

  async #carry(items: readonly Item[], as: As): Promise<void> {
    const { world } = this.#options
    for (let attempt = 1; ; attempt++) {
      const live = items.filter(({ settled }) => !settled)
      if (live.length === 0) return
      const refusal = attempt === 1 ? null : (this.refusal() ?? this.#overBudget(tokensOf(live)))
      if (refusal !== null) return this.#drop(live, refusal)
      const answer = await this.#ask(live, as)
      const attemptsMax = as === 'query' ? QUERY_ATTEMPTS_MAX : ATTEMPTS_MAX
      const step = stepAfter(answer, {
        attempt,
        attemptsMax,
        texts: live.length,
        random: world.random,
      } satisfies Attempt)
      switch (step.do) {
        case 'deliver':
          return
        case 'again':
          if (answer.is === 'busy') this.#pausedUntil = Math.max(this.#pausedUntil, world.now() + step.afterMs)
          this.counts.retried()
          await world.wait(step.afterMs, this.#closing.signal)
          break
        case 'halve': {
          const half = Math.ceil(live.length / 2)
          await this.#carry(live.slice(0, half), as)
          return this.#carry(live.slice(half), as)
        }
        case 'prove':
          return this.#drop(live, await this.#verdict(answer, as))
        case 'give-up':
          if (answer.is === 'busy')
            this.#pausedUntil = Math.max(this.#pausedUntil, world.now() + (answer.retryAfterMs ?? 0))
          return this.#drop(live, this.refusal() ?? this.#retry(wordsOf(answer), 1_000))
      }
    }
  }

  /** Whether it was the text: a service that refuses a text which is known to be good refuses everything. */
  async #verdict(answer: Answer, as: As): Promise<Retry | Reject> {
    const { transport } = this.#options
    const [text] = goldenTexts as [string]
    let taken = false
    const probe: Item = {
      text,
      tokens: PROBE_TOKENS,
      bytes: text.length,
      settled: false,
      resolve: () => (taken = true),
      reject() {},
    }
    const proof = await this.#ask([probe], as)
    if (taken) return new Reject(`the embedding service at ${transport.where} refuses this text: ${wordsOf(answer)}`)
    if (proof.is !== 'refused') return this.#retry(wordsOf(proof), 1_000)
    this.#trouble = `it refuses every text: ${wordsOf(proof)}`
    this.#breaker.failed(this.#options.world.now(), true)
    return this.#retry(this.#trouble, 1_000)
  }

  /** One request, counted; vectors that are good are delivered. */
  async #ask(items: readonly Item[], as: As): Promise<Answer> {
    const { world, policy, transport, dimensions } = this.#options
    const tokens = tokensOf(items)
    const began = world.now()
    this.#breaker.began(began)
    this.#requests.spend(1)
    this.#charge(tokens)
    let answer = await this.#send(items, as)
    if (answer.is === 'vectors') {
      const vectors = checkVectors(answer.vectors, { texts: items.length, dimensions })
      if ('fault' in vectors) answer = { is: 'wrong', words: vectors.fault }
      else {
        const counted = answer.tokens ?? tokens
        this.#charge(counted - tokens)
        this.counts.answered({ texts: items.length, tokens: counted, ms: Math.max(world.now() - began, MS_MIN) })
        for (const [i, item] of items.entries()) if (!item.settled) item.resolve(vectors[i]!)
      }
    }
    // What was turned away was not worked on; what was not answered may have been.
    if (answer.is === 'busy' || answer.is === 'refused' || answer.is === 'barred') this.#charge(-tokens)
    this.counts.request(answer.is)
    this.#note(answer, `${transport.where}, ${policy.timeoutMs} ms`)
    return answer
  }

  readonly #ended = new Set<() => void>()

  /** Ends when the time is over, or nobody waits for it any more. */
  async #send(items: readonly Item[], as: As): Promise<Answer> {
    const { transport, policy, world } = this.#options
    const abort = new AbortController()
    const unwanted = () => {
      if (items.every(({ settled }) => settled)) abort.abort(new Error('nobody waits for it any more'))
    }
    this.#ended.add(unwanted)
    const over = new AbortController()
    void world.wait(policy.timeoutMs, over.signal).then(() => abort.abort(new Error('late')))
    try {
      const texts = items.map(({ text }) => text)
      return await transport.embed(texts, { as, signal: AbortSignal.any([abort.signal, this.#closing.signal]) })
    } catch (error) {
      if (this.#closing.signal.aborted || items.every(({ settled }) => settled)) {
        this.#breaker.gaveUp()
        throw error
      }
      const words = abort.signal.aborted ? `did not answer within ${policy.timeoutMs} ms` : String(error)
      return { is: 'down', words, retryAfterMs: null, answered: false }
    } finally {
      over.abort()
      this.#ended.delete(unwanted)
    }
  }

  #note(answer: Answer, where: string): void {
    const { world, log } = this.#options
    const before = this.breaker
    if (answer.is === 'down' && !answer.answered) this.#unanswered += 1
    if (answer.is === 'down' || answer.is === 'wrong' || answer.is === 'barred') {
      this.#trouble = wordsOf(answer)
      const open = this.#breaker.failed(world.now(), answer.is === 'barred')
      if (open && before !== 'open') {
        log.warn(
          { service: where, reason: this.#trouble },
          'the embedding service is in trouble; it is left alone for a moment',
        )
        this.#dropAll(this.refusal() ?? this.#retry(this.#trouble, 1_000))
      }
    } else {
      if (answer.is === 'busy') this.#trouble = wordsOf(answer)
      this.#breaker.succeeded()
      if (before !== 'closed') log.info({ service: where }, 'the embedding service answers again')
    }
  }

  #charge(tokens: number): void {
    this.#tokens.spend(tokens)
    this.#budget.spend(tokens, this.#options.world.now())
  }

  #overBudget(tokens: number): Retry | null {
    const waitMs = this.#budget.waitMs(tokens, this.#options.world.now())
    if (waitMs === 0) return null
    const { tokensPerDayMax } = this.#options.policy
    const at = new Date(this.#options.world.now() + waitMs).toISOString()
    return new Retry(
      `the day's ${tokensPerDayMax} tokens for the embedding service are spent; it goes on at ${at}, or with a larger FRESHET_EMBEDDING_TOKENS_PER_DAY_MAX`,
      { state: 'embedding-budget-spent', retryAfterMs: Math.min(waitMs, BUDGET_RETRY_MS) },
    )
  }

  #retry(words: string, retryAfterMs: number): Retry {
    const message = `the embedding service at ${this.#options.transport.where} does not embed now: ${words}`
    return new Retry(message, { state: 'embedding-unavailable', retryAfterMs: Math.max(100, Math.ceil(retryAfterMs)) })
  }
}

const tokensOf = (items: readonly Waiting[]): number => items.reduce((sum, { tokens }) => sum + tokens, 0)
const wordsOf = (answer: Answer): string => (answer.is === 'vectors' ? 'it took it' : answer.words)

const ATTEMPTS_MAX = 4
/** Somebody waits for the answer. */
const QUERY_ATTEMPTS_MAX = 2
/** Texts; their memory is their callers'. */
const QUEUE_TEXTS_MAX = 65_536
const BUDGET_RETRY_MS = 5_000
const PROBE_TOKENS = 8
/** A request that is answered within a tick took some time too. */
const MS_MIN = 0.01
