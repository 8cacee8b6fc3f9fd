import { type Client, type Cluster, createClient, type KafkaOptions } from './kafka-client.ts'

/**
 * A connection that is replaced whole when anything about it is in doubt: no state of a client library outlives a fault,
 * so none can be wrong (guards K7, K8, K9: each start is a new object, and whoever uses it keeps the lifecycle).
 */
export class Link {
  readonly #options: KafkaOptions
  readonly #topics: readonly string[]
  #current: { client: Client; cluster: Promise<Cluster> } | null = null
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
      const current = { client, cluster }
      this.#current = current
      cluster.catch(() => {
        client.destroy()
        if (this.#current === current) this.#current = null
      })
    }
    return this.#current.cluster
  }

  /** Makes the next call of `cluster` a new connection. */
  drop(): void {
    this.#current?.client.destroy()
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
