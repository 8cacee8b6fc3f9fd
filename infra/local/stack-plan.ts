import type { Part } from './part-process.ts'
import { connectPart } from './parts/connect.ts'
import { kafkaPart } from './parts/kafka.ts'
import type { Places } from './parts/places.ts'
import { qdrantPart } from './parts/qdrant.ts'
import { registryPart } from './parts/registry.ts'
import type { Ports } from './ports.ts'
import { onPath } from './prerequisites.js'
import type { ToolName } from './setup-steps.ts'

export type PartName = 'kafka' | 'registry' | 'qdrant' | 'connect'

/** What a stack is made of, before any of it is started. */
export interface Plan {
  /** The parts that run here. */
  readonly local: readonly PartName[]
  /** Whether a local Qdrant is the embedded one. */
  readonly embedded: boolean
  readonly tools: readonly ToolName[]
  readonly ports: readonly (keyof Ports)[]
}

export interface PlanOptions {
  readonly parts?: readonly PartName[]
  readonly qdrantUrl?: string | null
  readonly roles?: readonly unknown[]
}

export function planOf({ parts = allParts, qdrantUrl, roles = [] }: PlanOptions): Plan {
  const local = parts.filter((name) => name !== 'qdrant' || !qdrantUrl)
  const embedded = local.includes('qdrant') && !onPath('qdrant')
  const python: readonly ToolName[] = embedded ? ['python'] : []
  return {
    local,
    embedded,
    tools: [...new Set([...local.flatMap((name) => toolsOf[name]), ...python, 'models' as const])],
    ports: [...local.flatMap((name) => portsOf[name]), ...(roles.length > 0 ? rolePorts : [])],
  }
}

export const makers: Readonly<Record<PartName, (places: Places, embedded: boolean) => Part>> = {
  kafka: kafkaPart,
  registry: registryPart,
  connect: connectPart,
  qdrant: (places, embedded) => qdrantPart(places, { server: !embedded }),
}

const portsOf: Readonly<Record<PartName, readonly (keyof Ports)[]>> = {
  kafka: ['kafka', 'controller'],
  registry: ['registry'],
  connect: ['connect'],
  qdrant: ['qdrant'],
}

const rolePorts: readonly (keyof Ports)[] = [
  'query',
  'workerMetrics',
  'queryMetrics',
  'gateway',
  'gatewayMetrics',
  'inference',
  'inferenceGrpc',
  'inferenceMetrics',
]

const toolsOf: Readonly<Record<PartName, readonly ToolName[]>> = {
  kafka: ['kafka'],
  registry: ['registry'],
  connect: ['kafka', 'connect'],
  qdrant: [],
}

const allParts: readonly PartName[] = ['kafka', 'registry', 'qdrant', 'connect']
