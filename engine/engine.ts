import type { Engine } from './embedder.ts'
import { type LoadOptions, loadModel } from './loaded-model.ts'
import { defaultModel } from './repository/catalogue.ts'
import { embeddingModelIn, folderOf } from './repository/repository.ts'
import { split } from './splitting.ts'
import { documentTerms, queryTerms } from './terms.ts'

export interface EngineOptions extends Omit<LoadOptions, 'folder'> {
  /** `name`, `name@3` or `name:canary`, of those in the folder or in the catalogue. */
  readonly model?: string
  /** Holds `<name>/model.json` and `<name>/<version>/`. */
  readonly modelsDir: string
}

/** Loads a model; several may be in one process. Throws `Fatal` as `loadModel` does. */
export async function createEngine({ model: reference, modelsDir, ...options }: EngineOptions): Promise<Engine> {
  const model = embeddingModelIn(modelsDir, reference ?? defaultModel)
  const loaded = await loadModel(model, { ...options, folder: folderOf(modelsDir, model) })
  const { space, fingerprint, tokenizer, promptTokens, stats, close } = loaded
  return {
    space,
    fingerprint,
    split: (text) => split(text, tokenizer.words, model.maxTokens - promptTokens),
    async embed(texts, { as, signal }) {
      const { answers } = await loaded.embed(texts, { as, tooLong: 'cut', signal })
      return answers.map(({ vector }) => vector)
    },
    documentTerms,
    queryTerms,
    stats,
    close,
  }
}
