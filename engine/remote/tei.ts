import { z } from 'zod'
import { type HttpOptions, http } from './http.ts'
import type { Answer, Transport } from './transport.ts'

export interface TeiOptions extends HttpOptions {
  /** As TEI's `/info` calls it: `model_id`. */
  readonly model: string
  /** As `/info` calls it, `model_sha`; empty: whichever. */
  readonly revision: string
}

/**
 * Text Embeddings Inference: `POST /embed`. What model it has is asked at `/info` before the first request, and again whenever it
 * did not answer: another one is never taken. It cuts off what is too long for it, as our own engine does. It says 429 when its queue is full, 413
 * when a batch or a text is too long, 422 when a text cannot be tokenised, and 424 when the model failed.
 */
export function tei({ model, revision, ...options }: TeiOptions): Transport {
  const client = http(options)
  let known = false
  return {
    where: `${options.url.replace(/\/+$/, '')}/embed`,
    async embed(texts, { signal }) {
      if (!known) {
        const info = await client.get('/info', signal)
        if (info.is !== 'replied') return info
        const fault = faultOf(info.json, model, revision)
        if (fault !== null) return { is: 'barred', words: fault }
        known = true
      }
      const answer = await client.post('/embed', { inputs: texts, truncate: true, normalize: true }, signal)
      if (answer.is === 'down' && !answer.answered) known = false
      return answer.is === 'replied' ? vectorsIn(answer.json) : answer
    },
    close: () => client.close(),
  }
}

const information = z.object({ model_id: z.string(), model_sha: z.string().nullish() })

/** Why this is not the model; null: it is. Pure. */
export function faultOf(info: unknown, model: string, revision: string): string | null {
  const parsed = information.safeParse(info)
  if (!parsed.success) return '/info does not say which model there is: is it Text Embeddings Inference?'
  const { model_id, model_sha } = parsed.data
  if (model_id !== model)
    return `it has the model ${model_id}, and ${model} is wanted; correct FRESHET_MODEL or the service`
  if (revision !== '' && model_sha !== revision)
    return `it has revision ${model_sha ?? 'unknown'} of ${model}, and ${revision} is wanted; correct FRESHET_EMBEDDING_REVISION or the service`
  return null
}

const shape = z.array(z.array(z.number()))

/** Pure. */
export function vectorsIn(json: unknown): Answer {
  const parsed = shape.safeParse(json)
  if (parsed.success) return { is: 'vectors', vectors: parsed.data, tokens: null }
  const [issue] = parsed.error.issues
  return { is: 'wrong', words: `an answer that is no list of vectors: ${issue!.path.join('.')}: ${issue!.message}` }
}
