import { Registry } from 'prom-client'
import type { EmbeddingOptions, LoadedModel } from '../../engine/loaded-model.ts'
import { catalogue } from '../../engine/repository/catalogue.ts'
import { declarationSchema, type EmbeddingModel, type ModelDeclaration } from '../../engine/repository/declaration.ts'
import { nameOf } from '../../engine/repository/model-files.ts'
import { spaceOf } from '../../engine/space.ts'
import { Reject } from '../../streams/errors.ts'
import { inferenceConfig, loadConfig } from '../config.ts'
import { Admission } from './admission.ts'
import { callersOf } from './callers.ts'
import { inferenceMetrics } from './metrics.ts'
import { ServedModels } from './served-models.ts'
import type { InferenceServerPorts } from './server.ts'

/** The service without a model: a vector is (length of the text, version), and `gate` holds answers back. */
export interface PlayedService extends InferenceServerPorts {
  readonly declarations: Map<string, ModelDeclaration>
  /** `name@version` that cannot be loaded, with why. */
  readonly broken: Map<string, string>
  readonly told: string[]
  readonly asked: { readonly model: string; readonly texts: readonly string[]; readonly options: EmbeddingOptions }[]
  gate: Promise<void>
}

export async function playedService(env: Readonly<Record<string, string>> = {}): Promise<PlayedService> {
  const config = loadConfig(inferenceConfig, { env })
  const played = {
    declarations: new Map([['m', declarationOf(1)]]),
    broken: new Map<string, string>(),
    told: [] as string[],
    asked: [] as PlayedService['asked'],
    gate: Promise.resolve(),
  }
  const models: ServedModels = new ServedModels(['m'], {
    declaration(name) {
      const found = played.declarations.get(name)
      if (found === undefined) throw new Error(`no model is called '${name}'`)
      return found
    },
    async load(model) {
      const fault = played.broken.get(nameOf(model))
      if (fault !== undefined) throw new Error(fault)
      return playedModel(model, service)
    },
    bounds: { textsMax: { interactive: config.inferenceQueueTextsMax, bulk: config.inferenceQueueTextsMax } },
    now: Date.now,
    told: (model, what) => played.told.push(`${what} ${model}`),
  })
  const service: PlayedService = {
    ...played,
    models,
    callers: callersOf(config),
    metrics: inferenceMetrics(new Registry(), () => models),
    limits: { textsMax: config.inferenceTextsMax, textBytesMax: config.inferenceTextBytesMax },
    now: Date.now,
    reranking: {
      reranker: {
        model: 'r@1',
        rerank: async (query, texts) => texts.map((text) => (text.includes(query) ? 0.9 : 0.1)),
        async close() {},
      },
      admission: new Admission({ textsMax: { interactive: 4, bulk: 4 } }),
    },
    missing: () => models.missing(),
    declare(name, change) {
      const next = declarationSchema.parse(change(played.declarations.get(name)!))
      played.declarations.set(name, next)
      return next
    },
    failed(error) {
      throw error
    },
  }
  await models.follow()
  return service
}

/** With versions of different rules. */
export function declarationOf(versionsMax: number, changes: Partial<ModelDeclaration> = {}): ModelDeclaration {
  const [known] = catalogue
  const version = known!.versions[1]!
  const numbers = Array.from({ length: versionsMax }, (_, at) => at + 1)
  const versions = Object.fromEntries(numbers.map((n) => [n, { ...version, rules: { maxTokens: 10 + n } }]))
  return declarationSchema.parse({ ...known, name: 'm', dimensions: 2, versions, labels: { stable: 1 }, ...changes })
}

function playedModel(model: EmbeddingModel, service: PlayedService): LoadedModel {
  return {
    model,
    space: spaceOf(model),
    fingerprint: '0'.repeat(64),
    provider: 'none',
    tokenizer: null as never,
    promptTokens: 2,
    async embed(texts, options) {
      service.asked.push({ model: nameOf(model), texts, options })
      const aborted = new Promise<never>((_, reject) => {
        options.signal?.addEventListener('abort', () => reject(options.signal!.reason))
      })
      await Promise.race([service.gate, aborted])
      const long = texts.findIndex((text) => text.length > 100 && options.tooLong === 'refuse')
      if (long >= 0)
        throw new Reject(`text ${long + 1} of ${texts.length} has 200 tokens, and the model takes ${model.maxTokens}`)
      const answers = texts.map((text) => ({
        vector: Float32Array.of(text.length, model.version),
        tokens: 3,
        truncated: false,
        runMs: 1,
        batch: 1,
        padding: 0,
      }))
      return { answers, queueMs: 0.5 }
    },
    stats: () => ({ texts: 0, tokens: 0, truncated: 0, runMs: 0, queued: 0, restarts: [] }),
    async close() {
      service.told.push(`closed ${nameOf(model)}`)
    },
  }
}
