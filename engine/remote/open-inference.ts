import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { GRPCInferenceService, type ModelInferResponse } from '../open-inference/predict_v2_pb.ts'
import { rawTexts, rowsInRaw } from '../open-inference/tensors.ts'
import { wordsOf } from './http.ts'
import type { Answer, RequestWish, Transport } from './transport.ts'

export interface OpenInferenceOptions {
  /** Of the gRPC port. */
  readonly url: string
  readonly model: string
  /** Version of the model; empty: the server chooses. */
  readonly version: string
  readonly dimensions: number
  /** Names of the tensors: BYTES in, FP32 out. */
  readonly input: string
  readonly output: string
  /** Of the input: [n], or [n, 1] as models in Triton often have it. */
  readonly column: boolean
  /** Whether it is told if a text is a document or a query, and to cut off what is too long, as Freshet's own service understands. */
  readonly told: boolean
  readonly apiKey?: () => string | null
  readonly ca?: string
}

/** Open Inference v2 over gRPC, `ModelInfer`: our own inference service, Triton, and others. */
export function openInference(options: OpenInferenceOptions): Transport {
  const { url, model, version, input, output, dimensions, apiKey = () => null, ca } = options
  const sessions = new Http2SessionManager(url, undefined, ca === undefined ? undefined : { ca })
  const transport = createGrpcTransport({ baseUrl: url, sessionManager: sessions, readMaxBytes: ANSWER_BYTES_MAX })
  const client = createClient(GRPCInferenceService, transport)
  return {
    where: `${url} (${model})`,
    async embed(texts, { as, signal }: RequestWish) {
      const key = apiKey()
      const size = BigInt(texts.length)
      try {
        const answer = await client.modelInfer(
          {
            modelName: model,
            modelVersion: version,
            inputs: [{ name: input, datatype: 'BYTES', shape: options.column ? [size, 1n] : [size] }],
            outputs: [{ name: output }],
            rawInputContents: [rawTexts(texts)],
            parameters: options.told
              ? {
                  input_type: { parameterChoice: { case: 'stringParam', value: as } },
                  truncate: { parameterChoice: { case: 'boolParam', value: true } },
                }
              : {},
          },
          { signal, ...(key !== null && { headers: { authorization: `Bearer ${key}` } }) },
        )
        return vectorsIn(answer, { output, dimensions, version })
      } catch (error) {
        if (signal.aborted) throw signal.reason
        return answerOf(ConnectError.from(error), key)
      }
    },
    close: async () => sessions.abort(),
  }
}

/** In raw contents, or in those of the tensor. Pure. */
export function vectorsIn(
  { outputs, rawOutputContents, modelVersion, parameters }: ModelInferResponse,
  { output, dimensions, version }: { output: string; dimensions: number; version: string },
): Answer {
  const at = outputs.findIndex(({ name }) => name === output)
  const tensor = outputs[at]
  if (tensor === undefined)
    return { is: 'wrong', words: `no tensor ${output}, but ${outputs.map(({ name }) => name).join(', ') || 'none'}` }
  if (tensor.datatype !== 'FP32')
    return { is: 'wrong', words: `the tensor ${output} is ${tensor.datatype}, and FP32 is wanted` }
  if (version !== '' && modelVersion !== '' && modelVersion !== version)
    return { is: 'wrong', words: `version ${modelVersion} of the model answered, and ${version} is wanted` }
  const width = Number(tensor.shape.at(-1) ?? 0)
  if (width !== dimensions)
    return { is: 'wrong', words: `vectors have ${width} dimensions, and the space has ${dimensions}` }
  const counted = parameters.tokens?.parameterChoice
  const tokens = counted?.case === 'int64Param' ? Number(counted.value) : null
  try {
    const raw = rawOutputContents[at]
    const fp32 = Float32Array.from(tensor.contents?.fp32Contents ?? [])
    return { is: 'vectors', vectors: rowsInRaw(raw ?? new Uint8Array(fp32.buffer), dimensions), tokens }
  } catch (error) {
    return { is: 'wrong', words: String(error) }
  }
}

/** What a status means. Pure. */
export function answerOf({ code, rawMessage, metadata }: ConnectError, key: string | null = null): Answer {
  const words = wordsOf(`${Code[code]}: ${rawMessage}`, key)
  const [ms, seconds] = [
    metadata.get('retry-after-ms') ?? metadata.get('grpc-retry-pushback-ms'),
    metadata.get('retry-after'),
  ]
  const after = Number(ms ?? Number(seconds ?? Number.NaN) * 1_000)
  const retryAfterMs = Number.isFinite(after) ? Math.max(0, after) : null
  switch (code) {
    case Code.ResourceExhausted:
      // A message that is too large is told by the same code as a queue that is full.
      return retryAfterMs === null && TOO_LARGE.test(rawMessage)
        ? { is: 'refused', words }
        : { is: 'busy', words, retryAfterMs }
    case Code.InvalidArgument:
    case Code.OutOfRange:
      return { is: 'refused', words }
    case Code.Unauthenticated:
    case Code.PermissionDenied:
    case Code.NotFound:
    case Code.Unimplemented:
    case Code.FailedPrecondition:
      return { is: 'barred', words }
    case Code.Internal:
    case Code.DeadlineExceeded:
      return { is: 'down', words, retryAfterMs, answered: true }
    default:
      return { is: 'down', words, retryAfterMs, answered: false }
  }
}

const TOO_LARGE = /larger than|too large|exceeds/i
const ANSWER_BYTES_MAX = 128 * 1024 * 1024
