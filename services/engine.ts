import type pino from 'pino'
import type { Engine, Space } from '../engine/embedder.ts'
import { createEngine } from '../engine/engine.ts'
import { type HashVersion, hashEngine, hashVersions } from '../engine/hash-engine.ts'
import { referenceOf } from '../engine/repository/reference.ts'
import { embeddingModelIn } from '../engine/repository/repository.ts'
import { openReranker as open, type Reranker } from '../engine/reranker.ts'
import { spaceOf } from '../engine/space.ts'
import { addressesOf, type PlatformConfig, type QueryConfig } from './config.ts'
import { modelElsewhere, nameElsewhere, openElsewhere, spaceElsewhere } from './embedding-elsewhere.ts'

export interface EngineWish {
  readonly workers: number
  readonly models: string
  readonly queries: boolean
  /** Tells the processes of one data folder apart: each has a budget of tokens elsewhere of its own. */
  readonly instance: string
  readonly log: pino.Logger
}

type EngineConfig = PlatformConfig & { readonly engine: 'model' | 'hash' }

/** A model and its version, as `control` records them of a space. */
export interface ModelVersion {
  readonly model: string
  readonly version: string
}

export const describeModel = ({ model, version }: ModelVersion): string => `${model}@${version}`

/** The model that the configuration names, with the version that is meant. */
export function modelIn(config: EngineConfig): ModelVersion {
  const elsewhere = modelElsewhere(config)
  if (elsewhere !== null) return elsewhere
  const hash = hashVersionIn(config)
  if (hash !== null) return { model: 'hash', version: hash }
  const { name, version } = embeddingModelIn(addressesOf(config).models, config.model)
  return { model: name, version: String(version) }
}

/** The configuration, if it named this model. */
export const configuredFor = <C extends EngineConfig>(config: C, model: ModelVersion): C => ({
  ...config,
  engine: model.model === 'hash' ? 'hash' : 'model',
  // What was the default of it is another now.
  ...(config.embeddingBackend !== 'in-process' && { embeddingModel: nameElsewhere(config) }),
  model: describeModel(model),
})

/** The space of the engine that the configuration names, without the engine. */
export function spaceIn(config: EngineConfig): Space {
  if (modelElsewhere(config) !== null) return spaceElsewhere(config)
  const hash = hashVersionIn(config)
  if (hash !== null) return hashEngine({ version: hash }).space
  return spaceOf(embeddingModelIn(addressesOf(config).models, config.model))
}

/** The engine that the configuration names. */
export async function openEngine(
  config: EngineConfig,
  { workers, models, queries, instance, log }: EngineWish,
): Promise<Engine> {
  if (modelElsewhere(config) !== null) return openElsewhere(config, { instance, log })
  const hash = hashVersionIn(config)
  if (hash !== null) return hashEngine({ version: hash })
  return createEngine({
    model: config.model,
    modelsDir: models,
    workers,
    queryWorker: queries ? 'at-start' : 'at-first-query',
    log,
  })
}

/** null: it is not the engine without a model. That has versions of its own, so that there are two spaces without two models. */
function hashVersionIn({ engine, model }: Pick<EngineConfig, 'engine' | 'model'>): HashVersion | null {
  if (engine !== 'hash') return null
  const { name, version } = referenceOf(model)
  const wanted = name === 'hash' && version !== null ? String(version) : hashVersions[0]
  const known = hashVersions.find((each) => each === wanted)
  if (known === undefined)
    throw new Error(`the model hash has no version ${wanted}; there are: ${hashVersions.join(', ')}`)
  return known
}

/** The model that reranks, where the configuration names one. */
export async function openReranker(config: QueryConfig, log: pino.Logger): Promise<Reranker | null> {
  const { rerankModel: model, rerankWorkers: workers } = config
  return model === undefined ? null : open({ model, modelsDir: addressesOf(config).models, workers, log })
}
