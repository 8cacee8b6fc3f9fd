import { z } from 'zod'
import type { Embedded } from './embed-texts.ts'
import { answerParameters, type InferRequest, OUTPUT } from './open-inference.ts'
import { Refused } from './refused.ts'

const parameterValues = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))

/** `POST /v2/models/{model}[/versions/{version}]/infer`, tensors as JSON. */
export const inferBody = z.object({
  id: z.string().max(256).optional(),
  parameters: parameterValues.default({}),
  inputs: z.array(
    z.object({
      name: z.string(),
      shape: z.array(z.number().int().nonnegative()).min(1),
      datatype: z.string(),
      parameters: parameterValues.optional(),
      data: z.array(z.unknown()).optional(),
    }),
  ),
  outputs: z.array(z.object({ name: z.string(), parameters: parameterValues.optional() })).default([]),
})

export const inferAnswer = z.object({
  id: z.string().optional(),
  model_name: z.string(),
  model_version: z.string(),
  parameters: z.object({
    space: z.string(),
    tokens: z.number().int(),
    queue_us: z.number().int(),
    compute_us: z.number().int(),
  }),
  outputs: z.array(
    z.object({
      name: z.string(),
      datatype: z.literal('FP32'),
      shape: z.array(z.number().int()),
      data: z.array(z.number()),
    }),
  ),
})

export function requestInBody(model: string, version: string, body: z.infer<typeof inferBody>): InferRequest {
  const [input] = body.inputs
  if (
    input?.parameters?.binary_data_size !== undefined ||
    body.outputs.some((each) => each.parameters?.binary_data === true)
  )
    throw new Refused('unsupported', 'binary tensors are not taken over HTTP: send "data", or use gRPC')
  return {
    model,
    version,
    parameters: body.parameters,
    inputs: body.inputs,
    outputs: body.outputs.map(({ name }) => name),
    texts: () => flat(input?.data ?? []),
  }
}

/** Rows may be nested, as the protocol has it. */
function flat(data: readonly unknown[]): string[] {
  const texts = data.flat(2)
  const at = texts.findIndex((each) => typeof each !== 'string')
  if (at === -1) return texts as string[]
  throw new Refused('bad_request', `inputs[0].data[${at}]: is no text`, { param: 'inputs' })
}

export function inferAnswerOf(done: Embedded, id: string | undefined): z.infer<typeof inferAnswer> {
  const { vectors, served } = done
  const { model, space } = served.loaded
  const data = vectors.flatMap((vector) => Array.from(vector))
  return {
    ...(id !== undefined && { id }),
    model_name: model.name,
    model_version: String(model.version),
    parameters: answerParameters(done),
    outputs: [{ name: OUTPUT, datatype: 'FP32', shape: [vectors.length, space.dimensions], data }],
  }
}
