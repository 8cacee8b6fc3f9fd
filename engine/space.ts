import { createHash } from 'node:crypto'
import type { Space } from './embedder.ts'
import type { EmbeddingModel } from './repository/declaration.ts'
import { splitterRules } from './splitting.ts'
import { analyserRules } from './terms.ts'

/** The embedding space of a model with our splitting rules and text analyser: change any of them and it is another space. */
export function spaceOf(model: EmbeddingModel): Space {
  const meaning = {
    model: model.name,
    ...hashesOf(model.files),
    pooling: model.pooling,
    normalisation: 'l2',
    prompts: model.prompts,
    dimensions: model.dimensions,
    maxTokens: model.maxTokens,
    quantisation: model.quantisation,
    splitting: splitterRules,
    analyser: analyserRules,
  }
  return { id: spaceId(meaning), model: model.name, dimensions: model.dimensions, maxTokens: model.maxTokens }
}

/** Where the weights lie in several files, all count; what a file was called elsewhere does not. */
function hashesOf({ 'model.onnx': onnx, 'tokenizer.json': tokenizer, ...others }: EmbeddingModel['files']) {
  const more = Object.entries(others).map(([name, { sha256 }]) => [name, sha256] as const)
  return {
    weights: onnx!.sha256,
    tokenizer: tokenizer!.sha256,
    ...(more.length > 0 && { files: Object.fromEntries(more) }),
  }
}

/** `es_` and the first 16 hex digits of the sha256 of the canonical JSON. */
export function spaceId(meaning: Json): string {
  return `es_${createHash('sha256').update(canonicalJson(meaning)).digest('hex').slice(0, 16)}`
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** JSON without spaces, keys in order of their UTF-16 units, at every depth: equal values give equal bytes. */
export function canonicalJson(value: Json): string {
  if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const keys = Object.keys(value).sort()
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key]!)}`).join(',')}}`
}

const isArray = (value: Json): value is readonly Json[] => Array.isArray(value)
