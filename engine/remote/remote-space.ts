import type { Space } from '../embedder.ts'
import { spaceId } from '../space.ts'
import { splitterRules } from '../splitting.ts'
import { analyserRules } from '../terms.ts'

/** A model that is elsewhere, as it is declared. */
export interface RemoteModel {
  /** As the service calls it. */
  readonly name: string
  /** What tells it from another model of that name: a version, a hash of the weights. */
  readonly revision: string
  readonly dimensions: number
  /** With special tokens and prompt. Chunks are no longer, and what else is longer is cut off. */
  readonly maxTokens: number
  /** Put in front of each text. */
  readonly prompts: { readonly document: string; readonly query: string }
}

/**
 * The space of a model whose weights nobody sees: of what is declared, and of how we split and count. Where the service is, is no
 * part of it, nor which protocol it speaks: the same model elsewhere is the same space. That it is the same is seen by the golden texts.
 */
export function remoteSpaceOf(model: RemoteModel, measure: { readonly name: string }): Space {
  const meaning = {
    model: model.name,
    revision: model.revision,
    weights: 'unseen',
    pooling: 'unknown',
    tokens: measure.name,
    normalisation: 'l2',
    prompts: model.prompts,
    dimensions: model.dimensions,
    maxTokens: model.maxTokens,
    splitting: splitterRules,
    analyser: analyserRules,
  }
  return { id: spaceId(meaning), model: model.name, dimensions: model.dimensions, maxTokens: model.maxTokens }
}
