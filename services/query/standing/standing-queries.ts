import { createHash } from 'node:crypto'
import type { Engine } from '../../../engine/embedder.ts'
import type { DeclaredAttributes } from '../../../search/attributes.ts'
import { visibilityOf } from '../../../search/visibility.ts'
import type { Clock } from '../../../streams/clock.ts'
import { reasonOf } from '../../../streams/errors.ts'
import type { Principal } from '../../principal.ts'
import type { FindPorts } from '../finding.ts'
import { OperationError, type SubscribeMessage } from '../protocol.ts'
import { checkFilter, queryOf } from '../searching.ts'
import type { ChangesHeard } from './changes.ts'
import { Due } from './due.ts'
import { type Entry, entryOf, type Why } from './entry.ts'
import { Evaluations, type Outcome } from './evaluations.ts'
import { AnsweredElsewhere, type StandingQuery } from './standing-query.ts'
import { type ChangedDocument, TouchIndex } from './touch-index.ts'

export interface StandingPorts extends Pick<FindPorts, 'serving' | 'freshness'> {
  /** Of the one space that all are embedded in. */
  readonly engine: Engine
  /** What may be filtered by. */
  readonly attributes: DeclaredAttributes
  readonly clock: Clock
  /** Of different standing queries, those that nobody asks for any more but are kept for a while among them. */
  readonly standingMax: number
  /** How many of these there are elsewhere in the process. */
  readonly elsewhere?: () => number
  /** Each with terms is evaluated again this long after the index has changed, whether a change touches it or not. Default 30 s. */
  readonly renewMs?: number
  /** An evaluation has ended: `first`, `touched` or `renewed`, and ms. */
  evaluated(why: Why, ms: number): void
}

/**
 * All standing queries of a process. Equal ones of equal readers are one. A change of a document makes those due that it touches; what is
 * due is evaluated by the same search as any other, some at a time, and whoever asked for it sees the difference.
 */
export class StandingQueries implements ChangesHeard {
  readonly #ports: StandingPorts
  readonly #entries = new Map<string, Entry>()
  readonly #touch: TouchIndex<Entry>
  readonly #due = new Due()
  readonly #evaluations: Evaluations
  readonly #closed = new AbortController()
  #changesHeard = 0

  constructor(ports: StandingPorts) {
    this.#ports = ports
    this.#touch = new TouchIndex(ports.engine.space.dimensions)
    this.#evaluations = new Evaluations(ports, this.#touch, this.#closed.signal)
    void this.#renewNowAndThen()
  }

  get size(): number {
    return this.#entries.size
  }

  /** Of standing queries that are not as the index is, or are not known to be. */
  get behind(): number {
    const isBehind = (why: Why | null) => why !== null && why !== 'renewed'
    return [...this.#entries.values()].filter(({ due, evaluating }) => isBehind(due) || isBehind(evaluating)).length
  }

  /**
   * The standing query of this reader, with what ends the asking for it. Rejects with an `OperationError` where it can never be answered.
   */
  async open(
    message: SubscribeMessage,
    principal: Principal,
    signal: AbortSignal,
  ): Promise<{ query: StandingQuery; leave: () => void }> {
    const name = nameOf(message, principal)
    let entry = this.#entries.get(name)
    if (entry === undefined) {
      checkFilter(message, this.#ports.attributes)
      const query = await queryOf(message, this.#ports.engine, signal)
      const { type: _, id: _id, minIntervalMs: _interval, resume: _resume, ...wish } = message
      entry = this.#entries.get(name) ?? this.#added(name, { ...wish, query, exact: true }, principal)
    }
    const asked = entry
    asked.readers++
    let left = false
    const leave = (): void => {
      if (left) return
      left = true
      asked.readers--
      if (asked.readers === 0) void this.#forgetLater(asked)
    }
    return { query: asked.query, leave }
  }

  wanted(tenant: string): boolean {
    return this.#touch.has(tenant) || this.#evaluations.areOf(tenant)
  }

  changed(document: ChangedDocument): void {
    for (const entry of this.#touch.touchedBy(document)) this.#due.add(entry, 'touched')
    this.#evaluations.changed(document)
    this.#pump()
  }

  moved(): void {
    this.#changesHeard++
  }

  unknown(): void {
    this.#changesHeard++
    for (const entry of this.#entries.values()) this.#due.add(entry, 'touched')
    this.#pump()
  }

  replaced(): void {
    this.#evaluations.replaced()
    for (const entry of this.#entries.values()) entry.query.beginAnew()
    this.unknown()
  }

  /** Ends those of readers who are answered by another space. */
  leave(isAnsweredElsewhere: (by: Principal) => boolean): void {
    for (const entry of [...this.#entries.values()]) {
      if (!isAnsweredElsewhere(entry.reader)) continue
      entry.query.end(new AnsweredElsewhere())
      this.#remove(entry)
    }
  }

  close(): void {
    this.#closed.abort()
    for (const { query } of this.#entries.values())
      query.end(new OperationError('unavailable', 'the service is going away; subscribe again'))
  }

  #added(name: string, wanted: Entry['wanted'], principal: Principal): Entry {
    const { standingMax, elsewhere = () => 0, clock } = this.#ports
    if (this.#entries.size + elsewhere() >= standingMax)
      throw new OperationError(
        'rate_limited',
        `there are ${standingMax} different standing queries in this process; end some, or ask another instance`,
        { retryAfterMs: 5_000 },
      )
    const entry = entryOf(name, wanted, principal, clock.now())
    this.#entries.set(name, entry)
    this.#due.add(entry, 'first')
    this.#pump()
    return entry
  }

  #remove(entry: Entry): void {
    if (this.#entries.get(entry.name) === entry) this.#entries.delete(entry.name)
    this.#touch.delete(entry)
    this.#due.delete(entry)
  }

  async #forgetLater(entry: Entry): Promise<void> {
    await this.#ports.clock.wait(LINGER_MS, this.#closed.signal)
    if (entry.readers === 0) this.#remove(entry)
  }

  #pump(): void {
    const { clock } = this.#ports
    while (!this.#closed.signal.aborted && this.#evaluations.underWay < BATCHES_MAX) {
      const renews = this.#evaluations.underWay === 0
      const batch = this.#due.take(BATCH_MAX, renews, clock.now(), (entry, ms) => void this.#afterWaiting(entry, ms))
      if (batch.length === 0) return
      void this.#evaluate(batch)
    }
  }

  async #afterWaiting(entry: Entry, ms: number): Promise<void> {
    if (entry.waiting) return
    entry.waiting = true
    await this.#ports.clock.wait(ms, this.#closed.signal)
    entry.waiting = false
    if (this.#entries.get(entry.name) !== entry) return
    this.#due.again(entry)
    this.#pump()
  }

  async #evaluate(batch: readonly Entry[]): Promise<void> {
    const { clock } = this.#ports
    const began = clock.now()
    for (const entry of batch) {
      entry.evaluating = entry.due
      entry.due = null
      entry.notBefore = began + INTERVAL_MS_MIN
      entry.changesSeen = this.#changesHeard
    }
    const outcomes = await this.#evaluations.evaluate(batch)
    const ms = clock.now() - began
    for (const [i, entry] of batch.entries()) {
      const why = entry.evaluating!
      entry.evaluating = null
      this.#ports.evaluated(why, ms)
      this.#ended(entry, why, outcomes[i]!)
    }
    this.#pump()
  }

  #ended(entry: Entry, why: Why, outcome: Outcome): void {
    if (this.#entries.get(entry.name) !== entry) return this.#remove(entry)
    if (outcome === 'touched meanwhile') return this.#due.add(entry, 'touched')
    if (outcome === 'done') return this.#due.again(entry)
    if (outcome instanceof OperationError && !outcome.retryable) {
      entry.query.end(outcome)
      return this.#remove(entry)
    }
    entry.query.troubled(reasonOf(outcome))
    entry.notBefore = this.#ports.clock.now() + TROUBLE_WAIT_MS
    this.#due.add(entry, why)
  }

  /** How much a term weighs depends on all documents, and what is repaired comes by no change: now and then all are looked at. */
  async #renewNowAndThen(): Promise<void> {
    const { clock, renewMs = RENEW_MS } = this.#ports
    while (!this.#closed.signal.aborted) {
      await clock.wait(RENEW_LOOK_MS, this.#closed.signal)
      const now = clock.now()
      for (const entry of this.#entries.values()) {
        if (entry.due !== null || entry.evaluating !== null) continue
        const moves = entry.wanted.query.terms !== null && entry.changesSeen !== this.#changesHeard
        if (entry.evaluatedAt <= now - renewMs * (moves ? 1 : RENEW_ANYWAY_AFTER)) this.#due.add(entry, 'renewed')
      }
      this.#pump()
    }
  }
}

/** Readers who are shown the same and ask the same share one. */
function nameOf(
  { type: _, id: _id, minIntervalMs: _interval, resume: _resume, ...wish }: SubscribeMessage,
  by: Principal,
): string {
  const { tenant, groups } = visibilityOf(by)
  const text = JSON.stringify([tenant, groups?.toSorted() ?? null, wish])
  return createHash('sha256').update(text).digest('base64')
}

/** Searches that are under way for standing queries, and how many are in one request. */
const BATCHES_MAX = 4
const BATCH_MAX = 16
/** Between two evaluations of one standing query. */
const INTERVAL_MS_MIN = 50
/** How long a standing query is kept that nobody asks for, so that whoever comes back finds it. */
const LINGER_MS = 30_000
const RENEW_MS = 30_000
/** So many times as long, where nothing is known to have changed. */
const RENEW_ANYWAY_AFTER = 10
const RENEW_LOOK_MS = 1_000
const TROUBLE_WAIT_MS = 500
