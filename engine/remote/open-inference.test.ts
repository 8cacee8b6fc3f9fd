import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Code, ConnectError } from '@connectrpc/connect'
import { Retry } from '../../streams/errors.ts'
import { engineContract } from '../engine-contract.ts'
import { type GrpcTrouble, grpcService } from './grpc-service.fixture.ts'
import { answerOf, openInference } from './open-inference.ts'
import { engineOver } from './remote.fixture.ts'

const service = await grpcService()
after(() => service.close())

const over = (output = 'EMBEDDING') =>
  engineOver(
    openInference({
      url: service.url,
      model: 'hash',
      version: '1',
      dimensions: 64,
      input: 'TEXT',
      output,
      column: true,
      told: false,
    }),
  )
engineContract('an Open Inference server over gRPC', async () => over())

const troubles: readonly GrpcTrouble[] = [
  { code: Code.Unavailable },
  { code: Code.Internal },
  { code: Code.ResourceExhausted, metadata: { 'retry-after-ms': '1' } },
  'fewer',
  'nan',
  'other-tensor',
]
for (const trouble of troubles)
  test(`a gRPC request that ends in ${JSON.stringify(trouble)} is made again, and the vectors are right`, async () => {
    const engine = over()
    const expected = await engine.embed(['one', 'two'], { as: 'document' })

    service.troubles.push(trouble)
    const vectors = await engine.embed(['one', 'two'], { as: 'document' })

    assert.deepEqual(vectors, expected)
    assert.equal(engine.remote().counts.retries, 1)
    await engine.close()
  })

test('a tensor that the model does not have is told with those that it has, and is no document’s fault', async () => {
  const engine = over('sentence')

  const failure = await engine.embed(['one'], { as: 'document' }).catch((error: unknown) => error)

  assert.ok(failure instanceof Retry, String(failure))
  assert.match(failure.message, /no tensor sentence, but EMBEDDING/)
  await engine.close()
})

test('every gRPC status means one thing, and a message that is too large is not a full queue', () => {
  const is = (code: Code, message = 'words') => answerOf(new ConnectError(message, code)).is

  assert.equal(is(Code.ResourceExhausted), 'busy')
  assert.equal(is(Code.ResourceExhausted, 'received message larger than max'), 'refused')
  assert.equal(is(Code.InvalidArgument), 'refused')
  assert.equal(is(Code.Unauthenticated), 'barred')
  assert.equal(is(Code.NotFound), 'barred')
  assert.equal(is(Code.DeadlineExceeded), 'down')
  assert.equal(is(Code.Unavailable), 'down')
})
