import type pino from 'pino'
import type { Engine, Space } from '../engine/embedder.ts'
import { createEngine } from '../engine/engine.ts'
import { hashEngine } from '../engine/hash-engine.ts'
import { embeddingModelIn } from '../engine/repository/repository.ts'
import { spaceOf } from '../engine/space.ts'
import { addressesOf, type PlatformConfig } from './config.ts'

export interface EngineWish {
  readonly workers: number
  readonly models: string
  readonly queries: boolean
  readonly log: pino.Logger
}

type EngineConfig = PlatformConfig & { readonly engine: 'model' | 'hash' }

/** The space of the engine that the configuration names, without the engine. */
export function spaceIn(config: EngineConfig): Space {
  if (config.engine === 'hash') return hashEngine().space
  return spaceOf(embeddingModelIn(addressesOf(config).models, config.model))
}

/** The engine that the configuration names. */
export async function openEngine(
  config: { engine: 'model' | 'hash'; model: string },
  { workers, models, queries, log }: EngineWish,
): Promise<Engine> {
  if (config.engine === 'hash') return hashEngine()
  return createEngine({
    model: config.model,
    modelsDir: models,
    workers,
    queryWorker: queries ? 'at-start' : 'at-first-query',
    log,
  })
}
