import { z } from 'zod'
import type { EmbeddingModel, ModelDeclaration } from '../../engine/repository/declaration.ts'
import { versionOfModel, versionsOf } from '../../engine/repository/declaration.ts'
import type { Embedded, EmbedWish } from './embed-texts.ts'
import { Refused } from './refused.ts'
import { inputType, priorityOf } from './wishes.ts'

/** The tensors of an embedding model: texts in, a row for each out. */
export const INPUT = 'text'
export const OUTPUT = 'embedding'

export const serverMetadata = {
  name: 'freshet',
  version: '0.1.0',
  extensions: ['model_repository'],
}

export function modelMetadata(declaration: ModelDeclaration, version: number | null) {
  const versions = versionsOf(declaration)
  const model = versionOfModel(declaration, version ?? versions[0]!) as EmbeddingModel
  return {
    name: declaration.name,
    versions: version === null ? versions.map(String) : [String(version)],
    platform: 'onnxruntime_onnx',
    inputs: [{ name: INPUT, datatype: 'BYTES', shape: [-1] }],
    outputs: [{ name: OUTPUT, datatype: 'FP32', shape: [-1, model.dimensions] }],
  }
}

/** What a request of either transport comes to. */
export interface InferRequest {
  readonly model: string
  /** '': the one that serves. */
  readonly version: string
  readonly parameters: Readonly<Record<string, string | number | boolean | undefined>>
  readonly inputs: readonly { readonly name: string; readonly datatype: string; readonly shape: readonly number[] }[]
  /** The names of those that are wanted; none: all. */
  readonly outputs: readonly string[]
  /** Of the first input. */
  readonly texts: () => readonly string[]
}

const parameters = z.object({
  input_type: inputType.default('document'),
  truncate: z.boolean().default(false),
  priority: z.string().optional(),
  /** In µs, as Triton has it. */
  timeout: z.number().int().nonnegative().optional(),
})

type OfRequest = Pick<EmbedWish, 'model' | 'texts' | 'as' | 'tooLong'> &
  Partial<Pick<EmbedWish, 'priority' | 'deadlineMs'>>

/** @throws Refused for tensors that the model does not have. */
export function wishInRequest({ model, version, inputs, outputs, texts, ...request }: InferRequest): OfRequest {
  const [input] = inputs
  if (input === undefined || inputs.length !== 1 || input.name !== INPUT)
    throw new Refused('bad_request', `inputs: send one, with the name ${JSON.stringify(INPUT)}`, { param: 'inputs' })
  if (input.datatype !== 'BYTES')
    throw new Refused('bad_request', `inputs[0].datatype: is ${input.datatype}; texts are BYTES`, { param: 'inputs' })
  const other = outputs.find((name) => name !== OUTPUT)
  if (other !== undefined)
    throw new Refused('bad_request', `outputs: ${JSON.stringify(other)} is not given; there is ${OUTPUT}`, {
      param: 'outputs',
    })
  const own = parametersOf(request.parameters)
  const found = texts()
  // [n], or [n, 1], as Triton's clients send a column.
  const size = input.shape.reduce((product, each) => product * each, 1)
  if (size !== found.length)
    throw new Refused(
      'bad_request',
      `inputs[0].shape: [${input.shape.join(', ')}] is for ${size} texts, and ${found.length} are there`,
      {
        param: 'inputs',
      },
    )
  return {
    model: version === '' ? model : `${model}@${version}`,
    texts: found,
    as: own.input_type,
    tooLong: own.truncate ? 'cut' : 'refuse',
    ...(own.priority !== undefined && { priority: priorityOf(own.priority) }),
    ...(own.timeout !== undefined && own.timeout > 0 && { deadlineMs: own.timeout / 1_000 }),
  }
}

function parametersOf(given: InferRequest['parameters']): z.infer<typeof parameters> {
  const { success, data, error } = parameters.safeParse(given)
  if (success) return data
  const [first] = error.issues
  throw new Refused('bad_request', `parameters.${first!.path.join('.')}: ${first!.message}`, { param: 'parameters' })
}

/** What both transports tell beside the vectors. */
export const answerParameters = ({ served, queueMs, computeMs, tokens }: Embedded) => ({
  space: served.loaded.space.id,
  tokens,
  queue_us: Math.round(queueMs * 1_000),
  compute_us: Math.round(computeMs * 1_000),
})
