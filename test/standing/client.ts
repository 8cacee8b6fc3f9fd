import { applyChanges, type HitChange } from '../../client/apply-changes.ts'
import type { Principal } from '../../services/principal.ts'
import type { Hit } from '../../services/query/answers.ts'
import { OperationError, type SubscribeMessage } from '../../services/query/protocol.ts'
import { type SubscribePorts, subscribe } from '../../services/query/standing/subscribing.ts'

interface Told {
  readonly type: string
  readonly epoch: string
  readonly seq: number
  readonly hits?: readonly Hit[]
  readonly ops?: readonly HitChange<Hit>[]
  readonly recovered?: boolean
}

/** One who follows a standing query as the protocol says, and may be slow, go away, and come back. */
export class FollowingClient {
  readonly message: SubscribeMessage
  readonly principal: Principal
  hits: readonly Hit[] = []
  at: { epoch: string; seq: number } | null = null
  failure: OperationError | null = null
  readonly counts = { snapshot: 0, diff: 0, recovered: 0, fresh: 0, enter: 0, leave: 0, move: 0, update: 0 }
  readonly #ports: SubscribePorts
  readonly #pause: () => Promise<void>
  #stop = new AbortController()
  #running: Promise<void> = Promise.resolve()

  /** `pause`: how long it takes it to take a message. */
  constructor(message: SubscribeMessage, principal: Principal, ports: SubscribePorts, pause: () => Promise<void>) {
    this.message = message
    this.principal = principal
    this.#ports = ports
    this.#pause = pause
    this.connect()
  }

  connect(): void {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    const message = { ...this.message, ...(this.at !== null && { resume: this.at }) }
    let isFirst = true
    const send = async (told: object): Promise<void> => {
      if (signal.aborted) return
      if (isFirst && this.at !== null) this.counts[(told as Told).recovered === true ? 'recovered' : 'fresh']++
      isFirst = false
      this.#take(told as Told)
      await this.#pause()
    }
    this.#running = subscribe(message, this.principal, this.#ports, signal, send).catch((error) => {
      if (!(error instanceof OperationError)) throw error
      if (error.code !== 'cancelled') this.failure = error
    })
  }

  async disconnect(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  #take({ type, epoch, seq, hits, ops }: Told): void {
    if (type === 'snapshot') this.hits = hits!
    else if (type === 'diff') this.hits = applyChanges(this.hits, ops!)
    else return
    this.counts[type]++
    for (const { op } of ops ?? []) this.counts[op]++
    this.at = { epoch, seq }
  }
}
