import { z } from 'zod'
import { type HttpOptions, http } from './http.ts'
import type { Answer, Transport } from './transport.ts'

export interface OpenaiOptions extends HttpOptions {
  readonly model: string
  /** base64 is a third of the bytes; not every service has it. */
  readonly encoding: 'float' | 'base64'
  /** Asks for vectors this long, where the model has several lengths; null: does not ask. */
  readonly dimensions: number | null
}

/** OpenAI's `POST /v1/embeddings`, as many services speak it. `url` is what stands before `/v1`, or ends with it. */
export function openai({ model, encoding, dimensions, ...options }: OpenaiOptions): Transport {
  const url = options.url.replace(/\/+$/, '')
  const client = http({ ...options, url })
  const path = url.endsWith('/v1') ? '/embeddings' : '/v1/embeddings'
  return {
    where: `${url}${path}`,
    async embed(texts, { signal }) {
      const body = { model, input: texts, encoding_format: encoding, ...(dimensions !== null && { dimensions }) }
      const answer = await client.post(path, body, signal)
      return answer.is === 'replied' ? vectorsIn(answer.json, texts.length) : answer
    },
    close: () => client.close(),
  }
}

const shape = z.object({
  data: z.array(z.object({ index: z.int(), embedding: z.union([z.array(z.number()), z.string()]) })),
  usage: z
    .object({ total_tokens: z.number().nonnegative().optional(), prompt_tokens: z.number().nonnegative().optional() })
    .nullish(),
})

/** In the order of `index`, which must name each text once. Pure. */
export function vectorsIn(json: unknown, texts: number): Answer {
  const parsed = shape.safeParse(json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return {
      is: 'wrong',
      words: `an answer that is no list of embeddings: ${issue!.path.join('.')}: ${issue!.message}`,
    }
  }
  const { data, usage } = parsed.data
  if (data.length !== texts) return { is: 'wrong', words: `${data.length} vectors for ${texts} texts` }
  const vectors: (ArrayLike<number> | undefined)[] = Array.from({ length: texts })
  for (const { index, embedding } of data) {
    if (index < 0 || index >= texts || vectors[index] !== undefined)
      return { is: 'wrong', words: `index ${index} twice or out of range, for ${texts} texts` }
    vectors[index] = typeof embedding === 'string' ? fromBase64(embedding) : embedding
  }
  return {
    is: 'vectors',
    vectors: vectors as ArrayLike<number>[],
    tokens: usage?.total_tokens ?? usage?.prompt_tokens ?? null,
  }
}

/** Little-endian f32. What is left over of four bytes is seen by the number of dimensions. */
function fromBase64(text: string): Float32Array {
  const bytes = Buffer.from(text, 'base64')
  return Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readFloatLE(i * 4))
}
