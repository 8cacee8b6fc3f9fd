import { once } from 'node:events'
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Code, ConnectError } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { hashEngine } from '../hash-engine.ts'
import { GRPCInferenceService } from '../open-inference/predict_v2_pb.ts'
import { rawRows, textsInRaw } from '../open-inference/tensors.ts'

export type GrpcTrouble =
  | { readonly code: Code; readonly metadata?: Record<string, string> }
  | 'fewer'
  | 'nan'
  | 'other-tensor'

/** A small Open Inference server over gRPC, with vectors of hashed words, that can misbehave. */
export async function grpcService() {
  const engine = hashEngine({ maxTokens: 8_000 })
  const service = { url: '', troubles: [] as GrpcTrouble[], requests: [] as string[][], close }
  const handler = connectNodeAdapter({
    connect: false,
    grpcWeb: false,
    routes: ({ service: route }) =>
      route(GRPCInferenceService, {
        async modelInfer({ modelName, inputs, rawInputContents }) {
          const texts = textsInRaw(rawInputContents[0]!)
          service.requests.push(texts)
          const trouble = service.troubles.shift()
          if (typeof trouble === 'object') throw new ConnectError('as it was told to', trouble.code, trouble.metadata)
          if (inputs[0]?.name !== 'TEXT') throw new ConnectError('no such tensor', Code.InvalidArgument)
          const vectors = (await engine.embed(texts, { as: 'document' })).slice(trouble === 'fewer' ? 1 : 0)
          if (trouble === 'nan') vectors[0]!.fill(Number.NaN)
          const name = trouble === 'other-tensor' ? 'logits' : 'EMBEDDING'
          return {
            modelName,
            modelVersion: '1',
            outputs: [{ name, datatype: 'FP32', shape: [BigInt(vectors.length), 64n] }],
            rawOutputContents: [rawRows(vectors)],
          }
        },
      }),
  })
  const server = createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  service.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  async function close(): Promise<void> {
    server.close()
  }
  return service
}
