import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Code, type ConnectError, createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { GRPCInferenceService } from '../../engine/open-inference/predict_v2_pb.ts'
import { rawTexts, rowsInRaw } from '../../engine/open-inference/tensors.ts'
import { grpcServer } from './grpc.ts'
import { type PlayedService, playedService } from './played.fixture.ts'

const inputs = (texts: number) => [{ name: 'text', datatype: 'BYTES', shape: [BigInt(texts)] }]

test('health and metadata are those of HTTP', async (t) => {
  const client = await clientOf(t, await playedService())

  assert.equal((await client.serverLive({})).live, true)
  assert.equal((await client.serverReady({})).ready, true)
  assert.equal((await client.modelReady({ name: 'm', version: '2' })).ready, false)
  assert.equal((await client.serverMetadata({})).name, 'freshet')
  const { outputs } = await client.modelMetadata({ name: 'm' })
  assert.deepEqual(
    outputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
    [['embedding', 'FP32', [-1n, 2n]]],
  )
})

test('an answer comes in the form of the request: raw bytes, or contents', async (t) => {
  const client = await clientOf(t, await playedService())
  const bytesContents = ['a', 'bb'].map((text) => Buffer.from(text))

  const raw = await client.modelInfer({
    modelName: 'm',
    id: '7',
    inputs: inputs(2),
    rawInputContents: [rawTexts(['a', 'bb'])],
  })
  const typed = await client.modelInfer({
    modelName: 'm',
    inputs: inputs(2).map((each) => ({ ...each, contents: { bytesContents } })),
  })

  assert.deepEqual(rowsInRaw(raw.rawOutputContents[0]!, 2), [Float32Array.of(1, 1), Float32Array.of(2, 1)])
  assert.deepEqual([raw.id, raw.modelVersion, raw.outputs[0]!.shape], ['7', '1', [2n, 2n]])
  assert.deepEqual(typed.outputs[0]!.contents!.fp32Contents, [1, 1, 2, 1])
  assert.match(String(raw.parameters.space!.parameterChoice.value), /^es_/)
})

test('refusals have the codes of gRPC, and what is too much says when to come back', async (t) => {
  const service = await playedService({ FRESHET_INFERENCE_QUEUE_TEXTS_MAX: '1' })
  const client = await clientOf(t, service)
  const infer = (texts: string[], options = {}, modelName = 'm') =>
    client.modelInfer({ modelName, inputs: inputs(texts.length), rawInputContents: [rawTexts(texts)] }, options)
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => null,
      (error: ConnectError) => error.code,
    )

  assert.equal(await codeOf(infer([''])), Code.InvalidArgument)
  assert.equal(await codeOf(infer(['a'], {}, 'other')), Code.NotFound)
  assert.equal(await codeOf(infer(['a'], { headers: { 'x-freshet-space': 'es_0' } })), Code.FailedPrecondition)
  assert.equal(
    await codeOf(client.modelInfer({ modelName: 'm', inputs: inputs(1), rawInputContents: [Buffer.of(9)] })),
    Code.InvalidArgument,
  )

  service.gate = new Promise(() => {})
  const leave = new AbortController()
  const held = codeOf(infer(['a'], { signal: leave.signal }))
  while (service.asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const refused = await infer(['a']).catch((error: ConnectError) => error)
  leave.abort()

  assert.equal((refused as ConnectError).code, Code.ResourceExhausted)
  assert.ok(Number((refused as ConnectError).metadata.get('retry-after-ms')) > 0)
  assert.equal(await held, Code.Canceled)
  while (service.models.all[0]!.inFlight > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(await codeOf(infer(['a'], { timeoutMs: 50 })), Code.DeadlineExceeded)
})

async function clientOf(t: TestContext, service: PlayedService) {
  const server = grpcServer(service)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const sessions = new Set<{ destroy(): void }>()
  server.on('session', (session) => sessions.add(session))
  t.after(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }))
}
