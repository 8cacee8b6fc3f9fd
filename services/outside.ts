import { connectQdrant, type Qdrant } from '../connectors/qdrant/client.ts'
import type { Control } from '../schemas/records.ts'
import { control } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { kafkaBroker } from '../streams/brokers/kafka.ts'
import type { Log } from '../streams/brokers/kafka-client.ts'
import { askRegistry, confluentRegistry, type SchemaRegistry } from '../streams/registry.ts'
import { avroSerde, type Serde } from '../streams/serde.ts'
import { openTable, type Table } from '../streams/table.ts'
import type { Scope } from '../streams/topic.ts'
import { addressesOf, type PlatformConfig } from './config.ts'
import { kafkaSecurity, qdrantAccess, registryAccess } from './credentials.ts'

/** Kafka, the schema registry and Qdrant, as the configuration says that they are reached: the one place where credentials are put in. */
export interface Outside {
  readonly broker: Broker
  readonly registry: SchemaRegistry
  /** What the registry says at a path. */
  askRegistry(path: string, timeoutMs: number): ReturnType<typeof askRegistry>
  /** Of topics in this scope. */
  serde(scope: Scope): Serde
  /** A connection of its own. `timeoutMs`: of each call. */
  qdrant(options?: { timeoutMs?: number }): Qdrant
  /** `control`, read whole by `sync` and followed; `failed` hears why it is not any more. */
  control(scope: Scope, options: ControlOptions): Promise<Table<Control>>
  /** `control` as it is now, read once. */
  controlNow(scope: Scope): Promise<ReadonlyMap<string, Control>>
  close(): Promise<void>
}

interface ControlOptions {
  changed?(key: string, value: Control | undefined): void
  failed(error: Error): void
}

/** Nothing connects before it is used. `clientId` is how Kafka's log calls us. */
export function openOutside(
  config: PlatformConfig,
  { clientId, log = () => {} }: { clientId: string; log?: Log },
): Outside {
  const addresses = addressesOf(config)
  const broker = kafkaBroker({ brokers: [...addresses.kafka], clientId, log, security: kafkaSecurity(config) })
  const registry = confluentRegistry(addresses.registry, registryAccess(config))
  const serde = (scope: Scope) => avroSerde(registry, scope)
  const controlTable = (scope: Scope, options: ControlOptions) =>
    openTable(control, { broker, serde: serde(scope), scope, ...options })
  return {
    broker,
    registry,
    askRegistry: (path, timeoutMs) => askRegistry(`${addresses.registry}${path}`, registryAccess(config), timeoutMs),
    serde,
    qdrant: (options = {}) => connectQdrant({ url: addresses.qdrant, ...qdrantAccess(config), ...options }),
    control: controlTable,
    async controlNow(scope) {
      const failure = Promise.withResolvers<never>()
      failure.promise.catch(() => {})
      const table = await controlTable(scope, { failed: failure.reject })
      try {
        await Promise.race([table.sync(), failure.promise])
        return new Map(table.entries())
      } finally {
        await table.close()
      }
    },
    close: () => broker.close(),
  }
}
