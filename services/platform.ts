import type pino from 'pino'
import { ensureTopics } from '../schemas/ensure-topics.ts'
import { catalogue } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { kafkaBroker } from '../streams/brokers/kafka.ts'
import { systemClock } from '../streams/clock.ts'
import { Retry, reasonOf } from '../streams/errors.ts'
import { confluentRegistry } from '../streams/registry.ts'
import { avroSerde, type Serde } from '../streams/serde.ts'
import type { Scope } from '../streams/topic.ts'
import { type Addresses, addressesOf, type PlatformConfig } from './config.ts'
import { epochOf } from './epoch.ts'

/** What every role that works on the topics begins with: the broker, the serde, topics and schemas in place, the epoch. */
export interface Platform {
  readonly addresses: Addresses
  readonly broker: Broker
  readonly serde: Serde
  readonly scope: Scope
  readonly epoch: number
  /** Name of the collection of this space. */
  readonly collection: string
}

/** Waits, and says for what, until Kafka and the registry are there. */
export async function openPlatform(
  config: PlatformConfig,
  space: string,
  clientId: string,
  log: pino.Logger,
): Promise<Platform> {
  const addresses = addressesOf(config)
  const scope: Scope = { prefix: config.topicPrefix, space }
  const broker = kafkaBroker({
    brokers: [...addresses.kafka],
    clientId,
    log: (level, message, fields) => log[level]({ ...fields }, message),
  })
  const serde = avroSerde(confluentRegistry(addresses.registry), scope)
  const { partitions, replicationFactor } = config
  await persistently('Kafka', log, () => broker.admin.ready(READY_MS))
  await persistently('the topics', log, () => ensureTopics(broker.admin, { scope, partitions, replicationFactor }))
  await persistently('the schema registry', log, () => serde.register(catalogue))
  const epoch = await persistently('the epoch of documents', log, () => epochOf(broker, serde, scope))
  return { addresses, broker, serde, scope, epoch, collection: `${config.topicPrefix}${space}` }
}

/** Again and again while the world is not well, saying so. */
export async function persistently<T>(what: string, log: pino.Logger, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Retry)) throw error
      log.warn({ attempt, reason: reasonOf(error) }, `waiting for ${what}`)
      await systemClock.wait(Math.min(error.retryAfterMs * 2 ** Math.min(attempt, 5), WAIT_MS_MAX))
    }
  }
}

const READY_MS = 10_000
const WAIT_MS_MAX = 5_000
