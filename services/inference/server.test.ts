import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { noOwnLimits, PRINCIPAL_HEADER, type Principal, signPrincipal } from '../principal.ts'
import { declarationOf, type PlayedService, playedService } from './played.fixture.ts'
import { inferenceServer } from './server.ts'

test('one text and many have a vector each, in OpenAI’s shape, as numbers or as bytes', async () => {
  const service = await playedService()
  const one = await post(service, '/v1/embeddings', { model: 'm', input: 'four' })
  const many = await post(service, '/v1/embeddings', { model: 'm', input: ['a', 'bb'], encoding_format: 'base64' })

  assert.deepEqual(one.json, {
    object: 'list',
    data: [{ object: 'embedding', index: 0, embedding: [4, 1] }],
    model: 'm@1',
    usage: { prompt_tokens: 3, total_tokens: 3 },
  })
  const bytes = Buffer.from(many.json.data[1].embedding, 'base64')
  assert.deepEqual([bytes.readFloatLE(0), bytes.readFloatLE(4)], [2, 1])
  const { 'x-freshet-model': model, 'x-freshet-space': space, 'x-freshet-queue-ms': queue } = one.headers
  assert.deepEqual([model, /^es_[0-9a-f]{16}$/.test(String(space)), queue], ['m@1', true, '0.5'])
  assert.equal(one.headers['x-freshet-compute-ms'], '1.0')
})

test('a query is interactive and a document bulk, unless the caller says otherwise', async () => {
  const service = await playedService()

  await post(service, '/v1/embeddings', { model: 'm', input: 'a', input_type: 'query' })
  await post(service, '/v1/embeddings', { model: 'm', input: 'a' })
  await post(service, '/v1/embeddings', { model: 'm', input: 'a' }, { 'x-freshet-priority': 'interactive' })
  await post(service, '/v1/embeddings', { model: 'm', input: 'a', input_type: 'query', priority: 'bulk' })

  const found = service.asked.map(({ options }) => [options.as, options.priority])
  assert.deepEqual(found, [
    ['query', 'interactive'],
    ['document', 'bulk'],
    ['document', 'interactive'],
    ['query', 'bulk'],
  ])
})

test('what cannot be embedded is refused with the field, its value and what to send instead', async () => {
  const service = await playedService({ FRESHET_INFERENCE_TEXTS_MAX: '3' })
  const cases: [object, number, RegExp][] = [
    [{ model: 'm', input: '' }, 400, /^input: is empty/],
    [{ model: 'm', input: ['a', ' '] }, 400, /^input\[1\]: is empty/],
    [{ model: 'm', input: [] }, 400, /^input: is empty/],
    [{ model: 'm', input: [1, 2] }, 400, /^input: holds tokens/],
    [{ model: 'm', input: [[1, 2]] }, 400, /^input: holds tokens/],
    [{ model: 'm', input: ['a', null] }, 400, /^input\[1\]: is no text/],
    [{ model: 'm', input: 5 }, 400, /^input: send a text/],
    [{ model: 'm', input: ['a', 'b', 'c', 'd'] }, 400, /^input: has 4 texts; send at most 3/],
    [{ model: 'm', input: 'x'.repeat(70_000) }, 400, /^input: has more than 65536 bytes/],
    [
      { model: 'm', input: 'x'.repeat(200) },
      400,
      /has 200 tokens, and the model takes 11; shorten it, or send "truncate": true/,
    ],
    [{ model: 'm', input: 'a', dimensions: 3 }, 400, /^dimensions: is 3; the model has 2/],
    [{ model: 'm', input: 'a', encoding_format: 'int8' }, 400, /^encoding_format: /],
    [{ model: 'other', input: 'a' }, 404, /no model is called "other"; there are: m@1$/],
    [{ model: 'm@2', input: 'a' }, 404, /has no version 2; there are: 1/],
    [{ model: 'm:canary', input: 'a' }, 404, /has no label canary; there are: stable \(version 1\)/],
    [{ model: '../m', input: 'a' }, 400, /names no model; write NAME, NAME@VERSION or NAME:LABEL/],
    [{ input: 'a' }, 400, /^model: /],
  ]

  for (const [body, status, says] of cases) {
    const answer = await post(service, '/v1/embeddings', body)
    assert.equal(answer.status, status, JSON.stringify(body).slice(0, 100))
    assert.match(answer.json.error.message, says)
    assert.equal(answer.json.error.type, 'invalid_request_error')
  }
  assert.equal(
    (await post(service, '/v1/embeddings', { model: 'm', input: 'x'.repeat(200), truncate: true })).status,
    200,
  )
})

test('a caller who wants vectors of another space is told which two, and what to do', async () => {
  const service = await playedService()
  const wanted = 'es_0000000000000000'

  const refused = await post(service, '/v1/embeddings', { model: 'm', input: 'a' }, { 'x-freshet-space': wanted })

  assert.equal(refused.status, 409)
  assert.match(
    refused.json.error.message,
    /m@1 makes vectors of the space es_[0-9a-f]{16}, not of es_0{16}: .*roll the index over/,
  )
  assert.equal(service.asked.length, 0)
})

test('beyond the queue callers are refused at once with when to come back, and the queue takes others when it has room', async () => {
  const service = await playedService({ FRESHET_INFERENCE_QUEUE_TEXTS_MAX: '2' })
  const gate = Promise.withResolvers<void>()
  service.gate = gate.promise
  const body = { model: 'm', input: ['a', 'b'] }
  const waiting = post(service, '/v1/embeddings', body)

  const refused = await post(service, '/v1/embeddings', body)
  const question = post(service, '/v1/embeddings', { ...body, input_type: 'query' })
  gate.resolve()

  assert.equal(refused.status, 429)
  assert.ok(Number(refused.headers['retry-after']) >= 1 && Number(refused.headers['retry-after-ms']) > 0)
  assert.match(refused.json.error.message, /m@1 has too much to do: 2 texts wait already, and 2 may/)
  assert.deepEqual([(await waiting).status, (await question).status], [200, 200])
  assert.equal((await post(service, '/v1/embeddings', body)).status, 200)
})

test('a deadline that passes ends the request, and what it held is free', async () => {
  const service = await playedService({ FRESHET_INFERENCE_QUEUE_TEXTS_MAX: '1' })
  service.gate = new Promise(() => {})

  const late = await post(service, '/v1/embeddings', { model: 'm', input: 'a' }, { 'x-freshet-deadline-ms': '20' })
  const wrong = await post(service, '/v1/embeddings', { model: 'm', input: 'a' }, { 'x-freshet-deadline-ms': 'soon' })

  assert.deepEqual([late.status, late.json.error.code], [504, 'deadline'])
  assert.deepEqual([wrong.status, wrong.json.error.code], [400, 'bad_request'])
  assert.equal(service.models.all[0]!.admission.pending('bulk'), 0)
})

test('when the caller leaves, its texts are taken out of the queue', async (t) => {
  const service = await playedService()
  service.gate = new Promise(() => {})
  const app = inferenceServer(service)
  t.after(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/v1/embeddings`
  const leave = new AbortController()
  const request = fetch(url, { method: 'POST', body: '{"model":"m","input":"a"}', signal: leave.signal })
  const gone = assert.rejects(request)
  while (service.asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const { signal } = service.asked[0]!.options

  leave.abort()
  await gone
  if (!signal!.aborted) await once(signal!, 'abort')

  while (service.models.all[0]!.inFlight > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(service.models.all[0]!.admission.pending('bulk'), 0)
})

test('Open Inference: metadata, readiness and tensors, of a model and of a version', async () => {
  const service = await playedService()
  const inputs = [{ name: 'text', shape: [2], datatype: 'BYTES', data: ['a', 'bb'] }]

  const metadata = await get(service, '/v2/models/m')
  const infer = await post(service, '/v2/models/m/versions/1/infer', {
    id: '7',
    inputs,
    parameters: { input_type: 'query' },
  })

  assert.deepEqual((await get(service, '/v2')).json.name, 'freshet')
  assert.deepEqual((await get(service, '/v2/health/live')).json, { live: true })
  assert.deepEqual((await get(service, '/v2/health/ready')).status, 200)
  assert.deepEqual(metadata.json.outputs, [{ name: 'embedding', datatype: 'FP32', shape: [-1, 2] }])
  assert.equal((await get(service, '/v2/models/m/versions/1/ready')).status, 200)
  assert.equal((await get(service, '/v2/models/m/versions/2/ready')).status, 503)
  assert.deepEqual(infer.json.outputs, [{ name: 'embedding', datatype: 'FP32', shape: [2, 2], data: [1, 1, 2, 1] }])
  assert.deepEqual([infer.json.id, infer.json.model_version, service.asked[0]!.options.as], ['7', '1', 'query'])
})

test('Open Inference: tensors that the model does not have are refused', async () => {
  const service = await playedService()
  const input = { name: 'text', shape: [1], datatype: 'BYTES', data: ['a'] }
  const cases: [object, RegExp][] = [
    [{ inputs: [] }, /inputs: send one, with the name "text"/],
    [{ inputs: [{ ...input, name: 'input_ids' }] }, /inputs: send one, with the name "text"/],
    [{ inputs: [{ ...input, datatype: 'INT64' }] }, /datatype: is INT64; texts are BYTES/],
    [{ inputs: [{ ...input, shape: [3] }] }, /shape: \[3\] is for 3 texts, and 1 are there/],
    [{ inputs: [{ ...input, data: [5] }] }, /data\[0\]: is no text/],
    [{ inputs: [input], outputs: [{ name: 'logits' }] }, /"logits" is not given; there is embedding/],
    [{ inputs: [input], parameters: { input_type: 'passage' } }, /parameters\.input_type/],
    [{ inputs: [{ ...input, parameters: { binary_data_size: 5 } }] }, /binary tensors are not taken over HTTP/],
  ]

  for (const [body, says] of cases) assert.match((await post(service, '/v2/models/m/infer', body)).json.error, says)
})

test('a version more serves beside the first, a label moves to it, and it can be taken back', async () => {
  const service = await playedService()
  const labels = (value: object) => send(service, 'PUT', '/v1/models/m/labels', value)

  service.declarations.set('m', declarationOf(2))
  await service.models.follow()
  const before = await post(service, '/v1/embeddings', { model: 'm', input: 'a' })
  await labels({ stable: 1, canary: 2 })
  const canary = await post(service, '/v1/embeddings', { model: 'm:canary', input: 'a' })
  await labels({ stable: 2 })
  const after = await post(service, '/v1/embeddings', { model: 'm', input: 'a' })

  assert.deepEqual(
    [before, canary, after].map(({ json }) => json.model),
    ['m@1', 'm@2', 'm@2'],
  )
  assert.ok(service.told.includes('closed m@1'))
  const wrong = await labels({ stable: 9 })
  assert.equal(wrong.status, 400)
  assert.match(wrong.json.detail, /version 9 is not declared; there are: 1, 2/)
})

test('traffic is split by tenant, and a shadow gets a copy that nobody waits for', async () => {
  const service = await playedService()
  service.declarations.set('m', declarationOf(2))
  const routes = [{ version: 2, percent: 100 }]

  const put = await send(service, 'PUT', '/v1/models/m/traffic', { routes, shadow: 1 })
  const answer = await post(service, '/v1/embeddings', { model: 'm', input: 'a' })
  const named = await post(service, '/v1/embeddings', { model: 'm@1', input: 'a' })

  assert.equal(put.status, 200)
  assert.deepEqual([answer.json.model, named.json.model], ['m@2', 'm@1'])
  assert.deepEqual(
    service.asked.map(({ model }) => model),
    ['m@2', 'm@1', 'm@1'],
  )
  const nobody = await send(service, 'PUT', '/v1/models/m/traffic', null)
  assert.equal(nobody.status, 200, JSON.stringify(nobody.json))
  assert.equal((await post(service, '/v1/embeddings', { model: 'm', input: 'a' })).json.model, 'm@1')
})

test('a version that cannot be loaded changes nothing for the one that serves, and says why', async () => {
  const service = await playedService()
  service.broken.set('m@2', 'model.onnx is not the file of the model m@2')
  service.declarations.set('m', declarationOf(2, { labels: {} }))

  await service.models.follow()

  assert.equal((await post(service, '/v1/embeddings', { model: 'm', input: 'a' })).json.model, 'm@1')
  const named = await post(service, '/v1/embeddings', { model: 'm@2', input: 'a' })
  assert.equal(named.status, 503)
  assert.match(named.json.error.message, /m@2 does not serve: model\.onnx is not the file of the model m@2; m@1 does/)
  const index = await post(service, '/v2/repository/index', {})
  assert.deepEqual(
    index.json.map(({ version, state }: { version: string; state: string }) => [version, state]),
    [
      ['2', 'UNAVAILABLE'],
      ['1', 'READY'],
    ],
  )
  assert.equal(service.missing(), null)
})

test('a model is loaded and unloaded on demand', async () => {
  const service = await playedService()
  service.declarations.set('n', { ...declarationOf(1), name: 'n' })

  assert.equal((await post(service, '/v1/embeddings', { model: 'n', input: 'a' })).status, 404)
  assert.deepEqual((await post(service, '/v2/repository/models/n/load', undefined)).json, { name: 'n', ready: true })
  assert.equal((await post(service, '/v1/embeddings', { model: 'n', input: 'a' })).status, 200)
  assert.equal((await post(service, '/v2/repository/models/n/unload', undefined)).status, 200)

  assert.ok(service.told.includes('closed n@1'))
  assert.equal((await post(service, '/v1/embeddings', { model: 'n', input: 'a' })).status, 404)
  assert.match((await post(service, '/v2/repository/models/x/load', undefined)).json.error, /no model is called 'x'/)
})

test('reranking answers the best first, as many as are wanted, and refuses what it cannot score', async () => {
  const service = await playedService()
  const documents = ['about rivers', { text: 'a freshet' }, 'a freshet in spring']
  const rank = (body: object) => post(service, '/v1/rerank', { model: 'r', query: 'freshet', documents, ...body })

  const { json } = await rank({ top_n: 2, return_documents: true })

  assert.deepEqual(json, {
    model: 'r@1',
    results: [
      { index: 1, relevance_score: 0.9, document: { text: 'a freshet' } },
      { index: 2, relevance_score: 0.9, document: { text: 'a freshet in spring' } },
    ],
  })
  assert.match((await rank({ model: 'm' })).json.detail, /no model called "m" reranks; there is: r@1/)
  assert.match((await rank({ query: ' ' })).json.detail, /^query: is empty/)
  assert.match((await rank({ documents: [] })).json.detail, /^documents: is empty/)
  assert.equal((await rank({ documents: [5] })).status, 400)
})

test('behind the gateway nobody is served without its signature, scopes count, and operators alone change models', async () => {
  const secret = 's'.repeat(32)
  const env = { FRESHET_PRINCIPALS: 'signed', FRESHET_INTERNAL_SECRET: secret, FRESHET_OPERATOR_TENANT: 'ops' }
  const service = await playedService(env)
  const as = (tenant: string, scopes: Principal['scopes']) => {
    const who = {
      tenant,
      subject: 'key:k',
      scopes,
      groups: [],
      expiresAt: null,
      limits: { ...noOwnLimits, embeddedTokensPerMinute: 60 },
    }
    return { [PRINCIPAL_HEADER]: signPrincipal(who, secret, Date.now()) }
  }
  const embed = (headers: Record<string, string>, input = 'a') =>
    post(service, '/v1/embeddings', { model: 'm', input }, headers)
  const load = (headers: Record<string, string>) => post(service, '/v2/repository/models/m/load', undefined, headers)

  const statuses = [
    await embed({}),
    await embed({ [PRINCIPAL_HEADER]: 'v1.e30.9.x' }),
    await embed(as('acme', ['search'])),
    await embed(as('acme', ['infer'])),
    await load(as('acme', ['admin'])),
    await load(as('ops', ['admin'])),
    // A sixth of a minute's tokens may be spent at once.
    await embed(as('acme', ['infer']), 'x'.repeat(16)),
    await embed(as('acme', ['infer']), 'x'.repeat(16)),
  ].map(({ status }) => status)

  assert.deepEqual(statuses, [401, 401, 403, 200, 403, 200, 200, 429])
})

test('with configured principals a gateway, a page, and an address that others reach are refused', async () => {
  const service = await playedService()

  assert.equal(
    (await post(service, '/v1/embeddings', { model: 'm', input: 'a' }, { [PRINCIPAL_HEADER]: 'x' })).status,
    403,
  )
  assert.equal(
    (await post(service, '/v1/embeddings', { model: 'm', input: 'a' }, { origin: 'https://evil.example' })).status,
    403,
  )
  await assert.rejects(playedService({ FRESHET_HOST: '0.0.0.0' }), /principals is configured/)
  await assert.rejects(playedService({ FRESHET_PRINCIPALS: 'signed' }), /internalSecret is not set/)
})

async function send(
  service: PlayedService,
  method: 'GET' | 'POST' | 'PUT',
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const app = inferenceServer(service)
  const payload = body === undefined ? {} : { payload: JSON.stringify(body) }
  const answer = await app.inject({
    method,
    url,
    headers: { 'content-type': 'application/json', ...headers },
    ...payload,
  })
  await app.close()
  return { status: answer.statusCode, headers: answer.headers, json: answer.json() }
}

const post = (service: PlayedService, url: string, body: unknown, headers?: Record<string, string>) =>
  send(service, 'POST', url, body, headers)
const get = (service: PlayedService, url: string) => send(service, 'GET', url)
