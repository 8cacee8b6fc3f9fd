import { systemClock } from '../clock.ts'
import { Retry } from '../errors.ts'
import { type Client, type Cluster, createClient, type KafkaOptions } from './kafka-client.ts'
import { asInstruction } from './kafka-errors.ts'

/**
 * A connection that is replaced whole when anything about it is in doubt: no state of a client library outlives a fault,
 * so none can be wrong (guards K7, K8, K9: each start is a new object, and whoever uses it keeps the lifecycle).
 */
export class Link {
  readonly #options: KafkaOptions
  readonly #topics: readonly string[]
  #current: { client: Client; cluster: Promise<Cluster>; connected: Cluster | null } | null = null
  #closed = false

  /** `topics`: those whose partitions and leaders the connection must know. */
  constructor(options: KafkaOptions, topics: readonly string[] = []) {
    this.#options = options
    this.#topics = topics
  }

  /** The connected cluster. Rejects if it cannot be reached, or one of the topics does not exist; ask again later. */
  cluster(): Promise<Cluster> {
    if (this.#closed) return Promise.reject(new Error('closed'))
    if (this.#current === null) {
      const client = createClient(this.#options)
      const cluster = this.#connect(client)
      const current = { client, cluster, connected: null as Cluster | null }
      this.#current = current
      cluster.then(
        (connected) => {
          current.connected = connected
        },
        () => {
          client.destroy()
          if (this.#current === current) this.#current = null
        },
      )
    }
    return this.#current.cluster
  }

  /** Again on a new connection, a few times: what the old one knew of brokers and leaders may be out of date. */
  async use<T>(doing: string, work: (cluster: Cluster) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      let cluster: Cluster | null = null
      try {
        cluster = await this.cluster()
        return await work(cluster)
      } catch (error) {
        this.drop(cluster)
        const instruction = asInstruction(error, doing)
        if (!(instruction instanceof Retry) || attempt === ATTEMPTS_MAX || this.#closed) throw instruction
        await systemClock.wait(ATTEMPT_DELAY_MS * attempt)
      }
    }
  }

  /** Makes the next call of `cluster` a new connection, unless it would be already: the fault was of an older one. */
  drop(faulty: Cluster | null = null): void {
    if (this.#current === null || (faulty !== null && this.#current.connected !== faulty)) return
    this.#current.client.destroy()
    this.#current = null
  }

  close(): void {
    this.#closed = true
    this.drop()
  }

  async #connect(client: Client): Promise<Cluster> {
    const cluster = client.cluster()
    await cluster.connect()
    if (this.#topics.length > 0) await cluster.addMultipleTargetTopics(this.#topics)
    else await cluster.refreshMetadata()
    return cluster
  }
}

const ATTEMPTS_MAX = 3
const ATTEMPT_DELAY_MS = 50
