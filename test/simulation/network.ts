import type { Actor, Cuttable, Scheduler } from './scheduler.ts'

/** What goes wrong with one request of a process to the world. */
export type CallFault =
  /** It never arrives. */
  | 'request lost'
  /** It is done, and nobody hears of it. */
  | 'answer lost'
  /** The caller has given up, and then it is done. */
  | 'done late'
  /** The connection breaks while it is being done. */
  | 'cut off'

export interface Call<T> {
  readonly to: 'broker' | 'index'
  readonly what: string
  /** Does it, in as many turns of the world as it has parts. */
  effect(part: Cuttable): Promise<T>
  /** Asked again by the client itself where a connection breaks. */
  readonly repeats?: boolean
  /** What the real client says when it does not know what became of it. */
  failure(): Error
}

interface Open {
  readonly what: string
  /** Who has the request until it arrives; what has arrived is the world's. */
  carrier: Actor
  /** The answer was given, and is on its way. */
  isAnswered: boolean
  readonly repeats: boolean
  readonly caller: Actor
  readonly to: Call<unknown>['to']
  readonly part: Cuttable
  fail(): void
}

/** Between the processes and the world: every call is a request, what it does, and an answer, each an event of its own. */
export class Network {
  readonly scheduler: Scheduler
  readonly world: Actor
  calls = 0
  /** Nothing goes wrong any more. */
  healed = false
  /** How often each fault has been done. */
  readonly counts: Record<CallFault, number> = { 'request lost': 0, 'answer lost': 0, 'done late': 0, 'cut off': 0 }
  readonly #faults: ReadonlyMap<number, CallFault>
  readonly #open = new Set<Open>()

  constructor(scheduler: Scheduler, world: Actor, faults: ReadonlyMap<number, CallFault>) {
    this.scheduler = scheduler
    this.world = world
    this.#faults = faults
  }

  get underWay(): string | null {
    for (const { what, caller } of this.#open) return `${caller.name}: ${what}`
    return null
  }

  call<T>(caller: Actor, call: Call<T>): Promise<T> {
    const { to, what, effect, failure, repeats = false } = call
    const { scheduler, world } = this
    const number = this.calls++
    const fault = this.healed ? undefined : this.#faults.get(number)
    // What a process was about to ask when it ended is asked by nobody.
    if (caller.dead) return new Promise(() => {})
    if (fault !== undefined) this.counts[fault]++
    const said = `${what} (call ${number})`
    return new Promise((resolve, reject) => {
      const part = { cut: false }
      let failed = false
      const fail = () => {
        if (failed || caller.dead) return
        failed = true
        if (repeats && fault === undefined && world.chance.hits(0.7)) this.call(caller, call).then(resolve, reject)
        else scheduler.add(caller, `${said}: ${fault ?? 'no answer'}`, () => reject(failure()))
      }
      if (fault === 'request lost') return fail()
      // What the kernel has taken arrives, whatever becomes of the process.
      const carrier = caller.chance.hits(0.5) ? world : caller
      const open: Open = { what, caller, to, part, fail, carrier, isAnswered: false, repeats }
      this.#open.add(open)
      if (fault === 'done late') fail()
      const answer = (how: string, settle: () => void): void => {
        open.isAnswered = true
        if (failed || caller.dead || fault === 'answer lost') {
          this.#open.delete(open)
          return fail()
        }
        const arrived = () => {
          this.#open.delete(open)
          settle()
        }
        scheduler.add(caller, `${said}: ${how}`, arrived, { part })
      }
      const begin = () => {
        open.carrier = world
        void effect(part).then(
          (value) => {
            answer('answered', () => resolve(value))
          },
          (error) => answer('refused', () => reject(error)),
        )
        if (fault === 'cut off') scheduler.add(world, `${said}: cut off`, () => this.#cut(open), { part })
      }
      const late = fault === 'done late' ? { inMs: scheduler.delay(world.chance) + world.chance.below(4_000) } : {}
      scheduler.add(carrier, `${said}`, begin, { part, ...late })
    })
  }

  /** Whether the process waits for the answer to a write. */
  waits(caller: Actor, to: Open['to']): boolean {
    return [...this.#open].some((open) => open.caller === caller && open.to === to && !open.repeats)
  }

  /** A process is gone: some of what it has asked for is done to its end, some is dropped where it is. */
  hangUp(caller: Actor): void {
    for (const open of [...this.#open]) {
      if (open.caller !== caller) continue
      if (open.isAnswered || open.carrier === caller) this.#open.delete(open)
      else if (this.world.chance.hits(0.5)) this.#cut(open)
    }
  }

  /**
   * A server is replaced: nothing that it was asked before reaches the one that takes its place. What the kernel of a process that
   * stands still has got is not lost to it.
   */
  breakAll(to: Open['to']): void {
    for (const open of [...this.#open]) if (open.to === to && !(open.isAnswered && open.caller.frozen)) this.#cut(open)
  }

  #cut(open: Open): void {
    open.part.cut = true
    this.#open.delete(open)
    open.fail()
  }
}
