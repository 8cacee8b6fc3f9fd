import { createServer, type Http2Server } from 'node:http2'
import { create } from '@bufbuild/protobuf'
import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import {
  GRPCInferenceService,
  type InferParameter,
  InferParameterSchema,
  type ModelInferRequest,
} from '../../engine/open-inference/predict_v2_pb.ts'
import { rawRows, textsInRaw } from '../../engine/open-inference/tensors.ts'
import { referenceOf } from '../../engine/repository/reference.ts'
import { reasonOf } from '../../streams/errors.ts'
import { type Embedded, embedTexts } from './embed-texts.ts'
import { answerParameters, INPUT, modelMetadata, OUTPUT, serverMetadata, wishInRequest } from './open-inference.ts'
import { type RefusalCode, Refused } from './refused.ts'
import { type InferenceServerPorts, informing } from './server.ts'
import { wishOf } from './wishes.ts'

/** Open Inference v2 over gRPC, without TLS, for whoever stands in the same network: the gateway does not pass gRPC on. */
export function grpcServer(ports: InferenceServerPorts): Http2Server {
  const handler = connectNodeAdapter({
    connect: false,
    grpcWeb: false,
    readMaxBytes: MESSAGE_BYTES_MAX,
    writeMaxBytes: ANSWER_BYTES_MAX,
    routes: ({ service }) =>
      service(GRPCInferenceService, {
        serverLive: () => ({ live: true }),
        serverReady: () => ({ ready: ports.missing() === null }),
        modelReady: ({ name, version }) => ({
          ready: ports.models.isReady(name, version === '' ? null : Number(version)),
        }),
        serverMetadata: () => serverMetadata,
        modelMetadata: (request, context) =>
          answered(context, ports, 'ModelMetadata', async () => {
            ports.callers.of(headersOf(context), 'infer')
            const declaration = ports.models.declaration(nameIn(request.name))
            const metadata = modelMetadata(declaration, request.version === '' ? null : Number(request.version))
            const sized = (each: { name: string; datatype: string; shape: number[] }) => ({
              ...each,
              shape: each.shape.map(BigInt),
            })
            return { ...metadata, inputs: metadata.inputs.map(sized), outputs: metadata.outputs.map(sized) }
          }),
        modelInfer: (request, context) => answered(context, ports, 'ModelInfer', () => infer(request, context, ports)),
      }),
  })
  return createServer({ settings: { maxConcurrentStreams: STREAMS_MAX } }, handler)
}

async function infer(request: ModelInferRequest, context: HandlerContext, ports: InferenceServerPorts) {
  const headers = headersOf(context)
  const principal = ports.callers.of(headers, 'infer')
  const said = wishOf(headers, { principal, signal: context.signal })
  const { inputs, rawInputContents } = request
  const isRaw = rawInputContents.length > 0
  const left = context.timeoutMs()
  const done = await embedTexts(
    {
      ...said,
      ...(left !== undefined && { deadlineMs: Math.max(0, left) }),
      ...wishInRequest({
        model: request.modelName,
        version: request.modelVersion,
        parameters: Object.fromEntries(Object.entries(request.parameters).map(([name, value]) => [name, plain(value)])),
        inputs: inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(Number) })),
        outputs: request.outputs.map(({ name }) => name),
        texts: () => textsOf(request),
      }),
    },
    ports,
  )
  for (const [name, value] of Object.entries(informing(done))) context.responseHeader.set(name, value)
  return answerOf(done, request.id, isRaw)
}

function textsOf({ inputs, rawInputContents }: ModelInferRequest): string[] {
  const [raw] = rawInputContents
  if (raw === undefined)
    return (inputs[0]?.contents?.bytesContents ?? []).map((bytes) => Buffer.from(bytes).toString('utf8'))
  try {
    return textsInRaw(raw)
  } catch (cause) {
    throw new Refused('bad_request', `raw_input_contents[0] of ${INPUT}: ${reasonOf(cause)}`, { cause })
  }
}

/** In the form that the request came in. */
function answerOf(done: Embedded, id: string, isRaw: boolean) {
  const { vectors, served } = done
  const { model, space } = served.loaded
  const shape = [BigInt(vectors.length), BigInt(space.dimensions)]
  const parameters = Object.fromEntries(
    Object.entries(answerParameters(done)).map(([name, value]) => [
      name,
      create(InferParameterSchema, {
        parameterChoice:
          typeof value === 'string' ? { case: 'stringParam', value } : { case: 'int64Param', value: BigInt(value) },
      }),
    ]),
  )
  const contents = isRaw ? {} : { contents: { fp32Contents: vectors.flatMap((vector) => Array.from(vector)) } }
  return {
    id,
    modelName: model.name,
    modelVersion: String(model.version),
    parameters,
    outputs: [{ name: OUTPUT, datatype: 'FP32', shape, ...contents }],
    rawOutputContents: isRaw ? [rawRows(vectors)] : [],
  }
}

function plain({ parameterChoice: { value } }: InferParameter): string | number | boolean | undefined {
  return typeof value === 'bigint' ? Number(value) : value
}

const headersOf = ({ requestHeader }: HandlerContext): Record<string, string> => Object.fromEntries(requestHeader)

function nameIn(text: string): string {
  try {
    return referenceOf(text).name
  } catch (cause) {
    throw new Refused('bad_request', reasonOf(cause), { cause })
  }
}

async function answered<T>(
  context: HandlerContext,
  ports: InferenceServerPorts,
  method: string,
  work: () => Promise<T>,
): Promise<T> {
  const began = performance.now()
  let code = 'ok'
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Refused)) ports.failed(error)
    const refused = error instanceof Refused ? error : new Refused('internal', 'the service failed; its log says why')
    code = refused.code
    const { retryAfterMs } = refused
    const metadata: Record<string, string> =
      retryAfterMs === undefined ? {} : { 'retry-after-ms': String(Math.ceil(retryAfterMs)) }
    throw new ConnectError(refused.message, codes[refused.code], metadata)
  } finally {
    ports.metrics.ended(
      `grpc ${method}`,
      context.signal.aborted && code === 'ok' ? 'cancelled' : code,
      performance.now() - began,
    )
  }
}

const codes: Readonly<Record<RefusalCode, Code>> = {
  bad_request: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  forbidden: Code.PermissionDenied,
  not_found: Code.NotFound,
  conflict: Code.FailedPrecondition,
  too_large: Code.ResourceExhausted,
  rate_limited: Code.ResourceExhausted,
  overloaded: Code.ResourceExhausted,
  cancelled: Code.Canceled,
  internal: Code.Internal,
  unsupported: Code.Unimplemented,
  unavailable: Code.Unavailable,
  deadline: Code.DeadlineExceeded,
}

/** As over HTTP. */
const MESSAGE_BYTES_MAX = 17 * 1024 * 1024
/** Two thousand vectors of as many dimensions. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
/** Of one connection. */
const STREAMS_MAX = 256
