import { z } from 'zod'
import type { Embedded, EmbedWish } from './embed-texts.ts'
import { Refused } from './refused.ts'
import { inputType, priority } from './wishes.ts'

/** `POST /v1/embeddings`, as OpenAI has it; `input_type`, `truncate` and `priority` are ours. */
export const embeddingsBody = z.strictObject({
  model: z.string().describe('`name`, `name@3` or `name:canary`.'),
  input: z.unknown().describe('A text, or a list of texts. Tokens are not taken.'),
  encoding_format: z.enum(['float', 'base64']).default('float'),
  dimensions: z.number().int().optional().describe('Those of the model, or nothing.'),
  input_type: inputType.default('document').describe('Which prompt is put in front; a query goes before documents.'),
  truncate: z.boolean().default(false).describe('Of a text that is too long the start decides; else it is refused.'),
  priority: priority.optional().describe('Default: by input_type.'),
  user: z.string().optional().describe('Taken, and not looked at.'),
})
export type EmbeddingsBody = z.infer<typeof embeddingsBody>

export const embeddingsAnswer = z.strictObject({
  object: z.literal('list'),
  data: z.array(
    z.strictObject({
      object: z.literal('embedding'),
      index: z.number().int(),
      embedding: z.union([z.array(z.number()), z.base64()]).describe('base64: little-endian f32.'),
    }),
  ),
  model: z.string().describe('The version that answered, like `name@3`.'),
  usage: z.strictObject({ prompt_tokens: z.number().int(), total_tokens: z.number().int() }),
})

type OfBody = Pick<EmbedWish, 'model' | 'texts' | 'as' | 'tooLong'> & { readonly priority?: EmbedWish['priority'] }

export function wishInBody({ model, input, input_type, truncate, priority: own }: EmbeddingsBody): OfBody {
  const tooLong = truncate ? 'cut' : 'refuse'
  return { model, texts: textsIn(input), as: input_type, tooLong, ...(own !== undefined && { priority: own }) }
}

function textsIn(input: unknown): readonly string[] {
  if (typeof input === 'string') return [input]
  const fault = (message: string) => new Refused('bad_request', `input: ${message}`, { param: 'input' })
  if (!Array.isArray(input)) throw fault('send a text, or a list of texts')
  if (input.length > 0 && input.every((each) => typeof each === 'string')) return input as string[]
  if (input.some((each) => typeof each === 'number' || Array.isArray(each)))
    throw fault('holds tokens, which are of another tokenizer than the model’s; send text')
  if (input.length === 0) throw fault('is empty; send a text')
  const at = input.findIndex((each) => typeof each !== 'string')
  throw new Refused('bad_request', `input[${at}]: is no text`, { param: `input[${at}]` })
}

export function embeddingsOf(
  { model, vectors, tokens, served }: Embedded,
  { encoding_format, dimensions }: EmbeddingsBody,
): z.infer<typeof embeddingsAnswer> {
  checkDimensions(served.loaded.space.dimensions, dimensions)
  const encoded = encoding_format === 'base64' ? base64Of : (vector: Float32Array) => Array.from(vector)
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({ object: 'embedding' as const, index, embedding: encoded(vector) })),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  }
}

/** Vectors that are cut short are of another space. */
export function checkDimensions(own: number, wanted: number | undefined): void {
  if (wanted === undefined || wanted === own) return
  throw new Refused('bad_request', `dimensions: is ${wanted}; the model has ${own}, and its vectors cannot be cut`, {
    param: 'dimensions',
  })
}

const base64Of = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64')
