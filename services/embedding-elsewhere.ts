import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type pino from 'pino'
import type { Space } from '../engine/embedder.ts'
import type { Spent, SpentRecord } from '../engine/remote/budget.ts'
import type { World } from '../engine/remote/dispatcher.ts'
import { byBytes, byTokenizer, bytesName, tokenizerName } from '../engine/remote/measure.ts'
import { openInference } from '../engine/remote/open-inference.ts'
import { openai } from '../engine/remote/openai.ts'
import { type RemoteEngine, remoteEngine } from '../engine/remote/remote-engine.ts'
import { type RemoteModel, remoteSpaceOf } from '../engine/remote/remote-space.ts'
import { tei } from '../engine/remote/tei.ts'
import type { Transport } from '../engine/remote/transport.ts'
import { systemClock } from '../streams/clock.ts'
import type { EmbeddingConfig } from './embedding-settings.ts'

/** What embedding elsewhere needs of the configuration. */
export type ElsewhereConfig = EmbeddingConfig & { readonly model: string; readonly data: string }

/** The service's model and its version, if the configuration means that one; null: it means one of the repository. */
export function modelElsewhere(config: ElsewhereConfig): { readonly model: string; readonly version: string } | null {
  if (config.embeddingBackend === 'in-process') return null
  const model = { model: nameElsewhere(config), version: config.embeddingRevision || UNNAMED_VERSION }
  const means = [model.model, `${model.model}@${model.version}`]
  return config.embeddingModel === undefined || means.includes(config.model) ? model : null
}

export const nameElsewhere = ({ embeddingModel, model }: ElsewhereConfig): string => embeddingModel ?? model
/** Of a model of which nobody says which one it is. */
const UNNAMED_VERSION = '1'

/** The space of the service's model as it is declared; nobody is asked. */
export function spaceElsewhere(config: ElsewhereConfig): Space {
  const { embeddingTokenizer: path, embeddingTokenBytes } = config
  const name = path === undefined ? bytesName(embeddingTokenBytes) : tokenizerName(readFileSync(path, 'utf8'))
  return remoteSpaceOf(remoteModelOf(config), { name })
}

/** An engine over the service that the configuration names. Nothing connects before it is used. `instance`: whose budget it is. */
export function openElsewhere(
  config: ElsewhereConfig,
  { instance, log }: { instance: string; log: pino.Logger },
): RemoteEngine {
  const { embeddingTokenizer: path, embeddingTokenBytes } = config
  return remoteEngine({
    transport: transportOf(config),
    model: remoteModelOf(config),
    space: spaceElsewhere(config),
    measure: path === undefined ? byBytes(embeddingTokenBytes) : byTokenizer(readFileSync(path, 'utf8')),
    policy: {
      batch: {
        textsMax: config.embeddingTextsMax,
        tokensMax: config.embeddingRequestTokensMax,
        bytesMax: config.embeddingRequestBytesMax,
      },
      requestsMax: config.embeddingRequestsMax,
      timeoutMs: config.embeddingTimeoutMs,
      requestsPerMinuteMax: config.embeddingRequestsPerMinuteMax ?? null,
      tokensPerMinuteMax: config.embeddingTokensPerMinuteMax ?? null,
      tokensPerDayMax: config.embeddingTokensPerDayMax ?? null,
      pricePerMillionTokens: config.embeddingPricePerMillionTokens ?? null,
    },
    spent: spentIn(join(config.data, 'embedding', `${instance}.json`)),
    world,
    log,
  })
}

function remoteModelOf(config: ElsewhereConfig): RemoteModel {
  return {
    name: nameElsewhere(config),
    revision: config.embeddingRevision,
    dimensions: config.embeddingDimensions!,
    maxTokens: config.embeddingMaxTokens,
    prompts: { document: config.embeddingDocumentPrompt, query: config.embeddingQueryPrompt },
  }
}

function transportOf(config: ElsewhereConfig): Transport {
  const { embeddingUrl, embeddingApiKey: key, embeddingCa, embeddingRevision: revision } = config
  const options = {
    url: embeddingUrl!,
    model: nameElsewhere(config),
    ...(key !== undefined && { apiKey: () => key.value }),
    ...(embeddingCa !== undefined && { ca: readFileSync(embeddingCa, 'utf8') }),
  }
  if (config.embeddingBackend === 'tei') return tei({ ...options, revision })
  if (config.embeddingBackend === 'open-inference' || config.embeddingBackend === 'inference') {
    const told = config.embeddingBackend === 'inference'
    return openInference({
      ...options,
      version: revision,
      dimensions: config.embeddingDimensions!,
      input: told ? 'text' : config.embeddingInput,
      output: told ? 'embedding' : config.embeddingOutput,
      column: !told && config.embeddingColumn === 'on',
      told,
    })
  }
  const dimensions = config.embeddingDimensionsAsked === 'on' ? config.embeddingDimensions! : null
  return openai({ ...options, encoding: config.embeddingEncoding, dimensions })
}

const world: World = { now: Date.now, wait: systemClock.wait, random: Math.random }

/** A file of one process. One that cannot be read counts for nothing spent: it is written anew. */
function spentIn(path: string): SpentRecord {
  return {
    read() {
      try {
        const { day, tokens } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Spent>
        return typeof day === 'string' && typeof tokens === 'number' ? { day, tokens } : null
      } catch {
        return null
      }
    },
    write(spent) {
      mkdirSync(dirname(path), { recursive: true })
      const fresh = `${path}.new`
      writeFileSync(fresh, `${JSON.stringify(spent)}\n`, { flush: true })
      renameSync(fresh, path)
    },
  }
}
