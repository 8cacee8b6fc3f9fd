import { z } from 'zod'
import { addressSetting } from './credential-settings.ts'
import { unreadableFaults } from './readable-files.ts'
import { SECRET, secretSetting } from './secret.ts'

const count = z.coerce.number().int().min(1)
const amount = z.coerce.number().positive()

export const BACKENDS = ['in-process', 'openai', 'tei', 'open-inference', 'inference'] as const

/** Where vectors come from, where that is not this process; the same in all roles, but for what is counted in each. */
export const embeddingSettings = {
  embeddingBackend: z
    .enum(BACKENDS)
    .default('in-process')
    .describe(
      'Where vectors come from: this process, a service that speaks OpenAI’s, TEI’s or the Open Inference protocol (gRPC; Triton), or inference: Freshet’s own, by the same.',
    ),
  embeddingModel: z
    .string()
    .max(200)
    .optional()
    .describe(
      'The model as that service calls it. Default: FRESHET_MODEL. Where the two differ, the platform begins with FRESHET_MODEL, and goes over to this one by a rollout.',
    ),
  embeddingUrl: addressSetting('embeddingApiKey')
    .optional()
    .describe('The service that embeds; for openai what stands before /v1/embeddings.'),
  embeddingApiKey: secretSetting().optional().meta(SECRET).describe('Sent to that service as a bearer token.'),
  embeddingCa: z.string().optional().describe('As kafkaCa, for a service with https.'),
  embeddingRevision: z
    .string()
    .max(200)
    .default('')
    .describe(
      'What tells the model from another one of its name: for tei its model_sha and for open-inference and inference the version of the model, which are asked for; else declared. Part of the space.',
    ),
  embeddingDimensions: count
    .max(65_536)
    .optional()
    .describe('Numbers in a vector of that service’s model; other vectors are refused. Part of the space.'),
  embeddingDimensionsAsked: z
    .enum(['on', 'off'])
    .default('off')
    .describe('Whether openai is asked for vectors of embeddingDimensions, where a model has several lengths.'),
  embeddingEncoding: z
    .enum(['float', 'base64'])
    .default('float')
    .describe('How openai sends vectors; base64 is a third of the bytes, and not every service has it.'),
  embeddingInput: z
    .string()
    .min(1)
    .default('text')
    .describe('For open-inference: the name of the tensor of texts, BYTES.'),
  embeddingOutput: z
    .string()
    .min(1)
    .default('embedding')
    .describe('For open-inference: the name of the tensor of vectors, FP32.'),
  embeddingColumn: z
    .enum(['on', 'off'])
    .default('off')
    .describe('For open-inference: whether the texts have the shape [n, 1], as many models in Triton have it, or [n].'),
  embeddingMaxTokens: count
    .min(16)
    .max(8_192)
    .default(256)
    .describe(
      'Tokens of a text for that service, at most: chunks are cut to it, and a query that is longer is cut off. Part of the space.',
    ),
  embeddingTokenizer: z
    .string()
    .optional()
    .describe('The model’s tokenizer.json, by which tokens are counted here. Its content is part of the space.'),
  embeddingTokenBytes: amount
    .min(0.5)
    .max(8)
    .default(2)
    .describe(
      'Without a tokenizer: bytes of UTF-8 that are counted as one token; 2 is safe for most texts, English has about 4. Part of the space.',
    ),
  embeddingDocumentPrompt: z
    .string()
    .max(1_000)
    .default('')
    .describe('Put in front of each document’s text. Part of the space.'),
  embeddingQueryPrompt: z.string().max(1_000).default('').describe('Put in front of each query. Part of the space.'),
  embeddingTextsMax: count.max(2_048).default(32).describe('Texts in one request to that service.'),
  embeddingRequestTokensMax: count.default(16_384).describe('Tokens in one request; a text that has more goes alone.'),
  embeddingRequestBytesMax: count.default(1024 * 1024).describe('Bytes of text in one request, as above.'),
  embeddingRequestsMax: count
    .max(256)
    .default(4)
    .describe('Requests at once, of each process; where they are more than one, the last is kept for queries.'),
  embeddingTimeoutMs: count
    .min(100)
    .max(600_000)
    .default(30_000)
    .describe('Until a request is given up and made again, ms.'),
  embeddingRequestsPerMinuteMax: amount.optional().describe('Requests a minute, of each process. Default: no bound.'),
  embeddingTokensPerMinuteMax: amount.optional().describe('Tokens a minute, of each process. Default: no bound.'),
  embeddingTokensPerDayMax: count
    .optional()
    .describe(
      'Tokens on one UTC day, of each process, over its restarts; then it waits for the next. Default: no bound.',
    ),
  embeddingPricePerMillionTokens: z.coerce
    .number()
    .min(0)
    .optional()
    .describe('What a million tokens cost, in any currency: freshet_embedding_cost_total counts it.'),
  embeddingCosineMin: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(0.99)
    .describe('How near the golden texts’ vectors must stay to what they were when the space was first used.'),
  embeddingCheckEveryMs: count
    .min(1_000)
    .default(900_000)
    .describe('How often that is looked at, beside each start and after each outage, ms.'),
} as const

const shape = z.object(embeddingSettings)
export type EmbeddingConfig = z.infer<typeof shape>

/** What is wrong between settings, each in itself being right; in words that name the setting and its variable. */
export function embeddingFaults(config: EmbeddingConfig, variableOf: (name: string) => string): string[] {
  const faults: string[] = []
  const { embeddingBackend: backend } = config
  if (backend === 'in-process') {
    for (const name of ['embeddingUrl', 'embeddingApiKey'] as const)
      if (config[name] !== undefined)
        faults.push(
          `${name} is set, and embeddingBackend is in-process; set ${variableOf('embeddingBackend')} to ${BACKENDS.slice(1).join(' or ')}, or leave it out`,
        )
    return faults
  }
  for (const name of ['embeddingUrl', 'embeddingDimensions'] as const)
    if (config[name] === undefined)
      faults.push(`${name} is not set, and embeddingBackend is ${backend}; set ${variableOf(name)}`)
  if (config.embeddingDimensionsAsked === 'on' && backend !== 'openai')
    faults.push(
      `embeddingDimensionsAsked is on, and embeddingBackend is ${backend}, which has no choice; set ${variableOf('embeddingDimensionsAsked')} to off`,
    )
  return [...faults, ...unreadableFaults(['embeddingTokenizer', 'embeddingCa'], config, variableOf)]
}
