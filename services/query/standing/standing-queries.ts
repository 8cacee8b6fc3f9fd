import type { Candidate } from '../../../connectors/qdrant/search.ts'
import { windowOf } from '../../../search/ranking.ts'
import { differenceOf } from '../../../search/result-diff.ts'
import { visibilityOf } from '../../../search/visibility.ts'
import type { Clock } from '../../../streams/clock.ts'
import { reasonOf } from '../../../streams/errors.ts'
import type { Principal } from '../../principal.ts'
import { OperationError, type SubscribeMessage } from '../protocol.ts'
import { type Found, findWhereItServes, hitOf, queryOf, type SearchPorts, type Wanted } from '../searching.ts'
import type { ChangesHeard } from './changes.ts'
import { StandingQuery } from './standing-query.ts'
import { type ChangedDocument, TouchIndex, type Watch } from './touch-index.ts'

export interface StandingPorts extends Pick<SearchPorts, 'engine' | 'serving' | 'freshness'> {
  readonly clock: Clock
  /** Of different standing queries, those that nobody asks for any more but are kept for a while among them. */
  readonly standingMax: number
  /** Each is evaluated again after this long, whether a change touches it or not. Default 30 s. */
  readonly renewMs?: number
  /** An evaluation has ended: `first`, `touched` or `renewed`, and ms. */
  evaluated(why: Why, ms: number): void
}

export type Why = 'first' | 'touched' | 'renewed'

/** One standing query and what is to be done for it. */
interface Entry {
  readonly name: string
  readonly query: StandingQuery
  readonly wanted: Wanted
  readonly principal: Principal
  readers: number
  /** Why it has to be evaluated; null: it is as the index is. */
  due: Why | null
  /** Not before, ms since 1970. */
  notBefore: number
  evaluating: boolean
  /** For `notBefore`. */
  waiting: boolean
  /** ms since 1970. */
  evaluatedAt: number
  /** What has changed since the evaluation began that is under way. */
  meanwhile: ChangedDocument[]
}

/**
 * All standing queries of a process. Equal ones of equal readers are one. A change of a document makes those due that it touches; what is
 * due is evaluated by the same search as any other, some at a time, and whoever asked for it sees the difference.
 */
export class StandingQueries implements ChangesHeard {
  readonly #ports: StandingPorts
  readonly #entries = new Map<string, Entry>()
  readonly #touch: TouchIndex<Entry>
  readonly #due = new Set<Entry>()
  readonly #closed = new AbortController()
  #evaluating = 0

  constructor(ports: StandingPorts) {
    this.#ports = ports
    this.#touch = new TouchIndex(ports.engine.space.dimensions)
    void this.#renewNowAndThen()
  }

  get size(): number {
    return this.#entries.size
  }

  /** Of standing queries that are not as the index is. */
  get behind(): number {
    return [...this.#entries.values()].filter(({ due, evaluating }) => due !== null || evaluating).length
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
      const query = await queryOf(message, this.#ports, signal)
      entry = this.#entries.get(name) ?? this.#added(name, { ...message, query, exact: true }, principal)
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
    return this.#touch.has(tenant) || this.#underWay.size > 0
  }

  changed(document: ChangedDocument): void {
    for (const entry of this.#touch.touchedBy(document)) this.#makeDue(entry, 'touched')
    for (const entry of this.#underWay) if (entry.principal.tenant === document.tenant) entry.meanwhile.push(document)
  }

  unknown(): void {
    for (const entry of this.#entries.values()) this.#makeDue(entry, 'touched')
  }

  replaced(): void {
    for (const entry of this.#entries.values()) {
      entry.query.beginAnew()
      this.#makeDue(entry, 'touched')
    }
  }

  close(): void {
    this.#closed.abort()
    for (const { query } of this.#entries.values())
      query.end(new OperationError('unavailable', 'the service is going away; subscribe again'))
  }

  readonly #underWay = new Set<Entry>()

  #added(name: string, wanted: Wanted, principal: Principal): Entry {
    const { standingMax, clock } = this.#ports
    if (this.#entries.size >= standingMax)
      throw new OperationError(
        'rate_limited',
        `there are ${standingMax} different standing queries in this process; end some, or ask another instance`,
        { retryAfterMs: 5_000 },
      )
    const entry: Entry = {
      name,
      query: new StandingQuery(),
      wanted,
      principal,
      readers: 0,
      due: null,
      notBefore: 0,
      evaluating: false,
      waiting: false,
      evaluatedAt: clock.now(),
      meanwhile: [],
    }
    this.#entries.set(name, entry)
    this.#makeDue(entry, 'first')
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

  #makeDue(entry: Entry, why: Why): void {
    if (entry.due === null || why === 'touched') entry.due = why
    this.#due.add(entry)
    this.#pump()
  }

  #pump(): void {
    const { clock } = this.#ports
    if (this.#closed.signal.aborted) return
    for (const entry of this.#due) {
      if (this.#evaluating >= EVALUATIONS_MAX) return
      if (entry.evaluating) continue
      this.#due.delete(entry)
      const early = entry.notBefore - clock.now()
      if (early <= 0) void this.#evaluate(entry)
      else if (!entry.waiting) void this.#afterWaiting(entry, early)
    }
  }

  async #afterWaiting(entry: Entry, ms: number): Promise<void> {
    entry.waiting = true
    await this.#ports.clock.wait(ms, this.#closed.signal)
    entry.waiting = false
    if (entry.due === null || this.#entries.get(entry.name) !== entry) return
    this.#due.add(entry)
    this.#pump()
  }

  async #evaluate(entry: Entry): Promise<void> {
    const { clock } = this.#ports
    const why = entry.due!
    entry.due = null
    entry.evaluating = true
    this.#underWay.add(entry)
    this.#evaluating++
    const began = clock.now()
    entry.notBefore = began + INTERVAL_MS_MIN
    try {
      const ready = async () => {}
      const found = await findWhereItServes(
        entry.wanted,
        entry.principal,
        { ...this.#ports, ready },
        this.#closed.signal,
      )
      this.#touch.set(entry, watchOf(entry, found))
      const before = entry.query.state
      const hits = found.taken.map((each) => hitOf(each, entry.principal.tenant))
      entry.query.found(hits, found.asOf, before === null || differenceOf(before.hits, hits).length > 0)
      entry.evaluatedAt = clock.now()
      // Its lists were not known while these came.
      if (entry.meanwhile.some((document) => this.#touch.touchedBy(document).has(entry)))
        this.#makeDue(entry, 'touched')
    } catch (error) {
      this.#failed(entry, why, error)
    } finally {
      entry.meanwhile = []
      entry.evaluating = false
      this.#underWay.delete(entry)
      this.#evaluating--
      this.#ports.evaluated(why, clock.now() - began)
      if (entry.due !== null) this.#due.add(entry)
      this.#pump()
    }
  }

  #failed(entry: Entry, why: Why, error: unknown): void {
    if (this.#closed.signal.aborted) return
    if (error instanceof OperationError && !error.retryable) {
      entry.query.end(error)
      return this.#remove(entry)
    }
    entry.query.troubled(reasonOf(error))
    entry.notBefore = this.#ports.clock.now() + TROUBLE_WAIT_MS
    entry.due ??= why
  }

  /** How much a term weighs depends on all documents, and what is repaired comes by no change: now and then all are looked at. */
  async #renewNowAndThen(): Promise<void> {
    const { clock, renewMs = RENEW_MS } = this.#ports
    while (!this.#closed.signal.aborted) {
      await clock.wait(RENEW_LOOK_MS, this.#closed.signal)
      const before = clock.now() - renewMs
      for (const entry of this.#entries.values())
        if (entry.due === null && !entry.evaluating && entry.evaluatedAt <= before) this.#makeDue(entry, 'renewed')
    }
  }
}

/** Readers who are shown the same and ask the same share one. */
function nameOf(
  { type: _, id: _id, minIntervalMs: _interval, resume: _resume, ...wish }: SubscribeMessage,
  by: Principal,
) {
  const { tenant, groups } = visibilityOf(by)
  return JSON.stringify([tenant, groups?.toSorted() ?? null, wish])
}

function watchOf({ wanted, principal }: Entry, { lists, dense }: Found): Watch {
  const window = windowOf(wanted.k)
  const keys = new Set([...lists.dense, ...lists.keyword].map(({ key }) => key))
  if (wanted.query.like !== null) keys.add(wanted.query.like)
  return {
    tenant: principal.tenant,
    keys,
    dense: dense === null ? null : { vector: dense, scoreMin: lastOf(lists.dense, window) },
    terms: wanted.query.terms?.indices ?? NO_TERMS,
  }
}

/** From which score on a candidate comes into the list: any, as long as there is room. */
function lastOf(list: readonly Candidate[], window: number): number {
  if (list.length < window) return Number.NEGATIVE_INFINITY
  return list.reduce((least, { score }) => Math.min(least, score), Number.POSITIVE_INFINITY)
}

const NO_TERMS = new Uint32Array()
/** At a time. */
const EVALUATIONS_MAX = 8
/** Between two evaluations of one standing query. */
const INTERVAL_MS_MIN = 50
/** How long a standing query is kept that nobody asks for, so that whoever comes back finds it. */
const LINGER_MS = 30_000
const RENEW_MS = 30_000
const RENEW_LOOK_MS = 1_000
const TROUBLE_WAIT_MS = 500
