import { hostname, userInfo } from 'node:os'
import { qdrantIndex } from '../connectors/qdrant/vector-index.ts'
import { servingIn, spaceKey } from '../processors/collections.ts'
import type { VectorIndex } from '../processors/vector-index.ts'
import type { Control } from '../schemas/records.ts'
import { documents } from '../schemas/topics.ts'
import { loadConfig, queryConfig } from '../services/config.ts'
import { spaceIn } from '../services/engine.ts'
import type { Broker } from '../streams/broker.ts'
import type { SchemaRegistry } from '../streams/registry.ts'
import type { Serde } from '../streams/serde.ts'
import type { Table } from '../streams/table.ts'
import type { Scope } from '../streams/topic.ts'
import { withOutside } from './outside.ts'

/** What a command that looks into the log and the index works with. */
export interface Operator {
  readonly broker: Broker
  readonly registry: SchemaRegistry
  readonly serde: Serde
  readonly scope: Scope
  readonly epoch: number
  readonly control: Table<Control>
  /** The serving collection. */
  readonly index: Pick<VectorIndex, 'read' | 'collection'>
  /** Who it is, for what is written down. */
  readonly by: string
}

/** The serving space and collection are those that `control` names; else those of the configured model. */
export async function withOperator<T>(work: (operator: Operator) => Promise<T>): Promise<T> {
  const config = loadConfig(queryConfig, { env: process.env })
  const configured = spaceIn(config)
  return withOutside(async (outside) => {
    const { broker, registry } = outside
    const named = { prefix: config.topicPrefix, space: configured.id }
    let failure: Error | null = null
    const table = await outside.control(named, { failed: (error) => (failure = error) })
    try {
      await table.sync()
      if (failure !== null) throw failure
      const epoch = table.get(`topic/${documents.name}`)?.topic?.epoch
      if (epoch === undefined) throw new Error(`no role has run with this log yet: start it with npm start`)
      const decided = new Map(table.entries())
      const { space, collection } = servingIn(decided, named)
      const scope = { ...named, space }
      const dimensions = decided.get(spaceKey(space))?.space?.dimensions ?? configured.dimensions
      const qdrant = outside.qdrant({ timeoutMs: QDRANT_TIMEOUT_MS })
      return await work({
        broker,
        registry,
        serde: outside.serde(scope),
        scope,
        epoch,
        control: table,
        index: qdrantIndex(qdrant, { collection, space, dimensions }),
        by: `${userInfo().username}@${hostname()}`,
      })
    } finally {
      await table.close()
    }
  })
}

const QDRANT_TIMEOUT_MS = 5_000
