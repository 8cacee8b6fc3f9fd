import type { Clock } from '../../streams/clock.ts'
import { type Chance, textHash } from './chance.ts'
import { pop, push } from './event-heap.ts'

/** Whoever has events: a process, or the world outside all of them. */
export interface Actor {
  readonly name: string
  readonly chance: Chance
  /** Held: its events wait until it goes on. */
  frozen: boolean
  /** Its events vanish. */
  dead: boolean
}

/** A request under way: what is left of it can be cut off. */
export interface Cuttable {
  cut: boolean
}

interface Event {
  at: number
  readonly order: number
  readonly actor: Actor
  readonly what: string
  readonly part: Cuttable | null
  readonly isTimer: boolean
  run(): void
}

export interface EventOptions {
  /** ms until it may happen; default: as the actor's chance says. */
  readonly inMs?: number
  readonly part?: Cuttable
  readonly isTimer?: boolean
}

/**
 * All that happens, one event at a time, in an order that is a function of the seed: each event gets a delay from the
 * chance of its actor, and the earliest is next. Between two events all promises are followed to their ends, so that no event
 * loop and no timer has a say.
 */
export class Scheduler {
  now = START_MS
  steps = 0
  /** Of all that happened, in order. */
  hash = 0
  readonly #heap: Event[] = []
  readonly #held: Event[] = []
  readonly #wild: number
  #order = 0
  readonly #told: ((line: string) => void) | null

  constructor(wild: number, told: ((line: string) => void) | null) {
    this.#wild = wild
    this.#told = told
  }

  add(actor: Actor, what: string, run: () => void, { inMs, part, isTimer = false }: EventOptions = {}): void {
    if (actor.dead) return
    const at = this.now + (inMs ?? this.delay(actor.chance))
    push(this.#heap, { at, order: this.#order++, actor, what, part: part ?? null, isTimer, run })
  }

  /** Resolves in an event of its own. */
  turn(actor: Actor, what: string, options?: EventOptions): Promise<void> {
    return new Promise((resolve) => this.add(actor, what, resolve, options))
  }

  /** Mostly a few ms, sometimes seconds: what is long decides who is a zombie. */
  delay(chance: Chance): number {
    const x = chance.next()
    if (x > this.#wild) return 1 + chance.below(8)
    return chance.hits(0.7) ? chance.below(200) : chance.below(4_000)
  }

  /** Makes the next event happen; false when there is none. */
  async step(): Promise<boolean> {
    const event = this.#next()
    if (event === null) return false
    this.now = Math.max(this.now, event.at)
    this.steps++
    this.hash = textHash((this.hash ^ this.now) | 0, event.what)
    this.#told?.(this.#line(event.actor, event.what))
    event.run()
    await drained()
    return true
  }

  /** A line for the story in words, without an event. */
  note(actor: Actor | null, what: string): void {
    this.hash = textHash(this.hash, what)
    this.#told?.(this.#line(actor, what))
  }

  get tells(): boolean {
    return this.#told !== null
  }

  /** What a frozen actor had waiting goes on from now. */
  thaw(actor: Actor): void {
    actor.frozen = false
    const mine = this.#held.filter((event) => event.actor === actor)
    const others = this.#held.filter((event) => event.actor !== actor)
    this.#held.splice(0, this.#held.length, ...others)
    for (const event of mine) push(this.#heap, Object.assign(event, { at: Math.max(event.at, this.now) }))
  }

  /** Something is still on its way; whoever waits for the clock is not. */
  get underWay(): string | null {
    for (const events of [this.#heap, this.#held])
      for (const event of events) if (!event.isTimer && !isVoid(event)) return `${event.actor.name}: ${event.what}`
    return null
  }

  clockOf(actor: Actor, skewMs: number): Clock {
    return {
      now: () => this.now + skewMs,
      wait: (ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted) return resolve()
          const timer: Cuttable = { cut: false }
          const done = () => {
            timer.cut = true
            signal?.removeEventListener('abort', done)
            resolve()
          }
          signal?.addEventListener('abort', done)
          this.add(actor, 'a wait is over', done, { inMs: ms, part: timer, isTimer: true })
        }),
    }
  }

  #next(): Event | null {
    for (;;) {
      const event = pop(this.#heap)
      if (event === null) return null
      if (isVoid(event)) continue
      if (!event.actor.frozen) return event
      this.#held.push(event)
    }
  }

  #line(actor: Actor | null, what: string): string {
    const seconds = ((this.now - START_MS) / 1_000).toFixed(3).padStart(8)
    return `${String(this.steps).padStart(6)} ${seconds} s  ${(actor?.name ?? '').padEnd(8)} ${what}`
  }
}

/** All promises that can go on have gone on: the queue of ticks is behind that of promises. */
const drained = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))

const isVoid = ({ actor, part }: Event): boolean => actor.dead || part?.cut === true

export const START_MS = 1_700_000_000_000
