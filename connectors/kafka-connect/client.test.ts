import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { carryOut, refusals } from './carry-out.ts'
import { connectClient } from './client.ts'

/** A Connect that answers what it is told to, by method and path. */
async function playedConnect(
  answers: Readonly<Record<string, readonly [number, unknown] | (() => readonly [number, unknown])>>,
) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const what = `${request.method} ${request.url}`
    asked.push(what)
    const answer = answers[what]
    const [status, body] = (typeof answer === 'function' ? answer() : answer) ?? [
      404,
      { error_code: 404, message: `nothing at ${what}` },
    ]
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    asked,
    client: connectClient(`http://127.0.0.1:${port}`),
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

const connector = { name: 'a', file: 'a.yaml', state: null, config: { 'connector.class': 'X', 'db.password': 'r' } }
const create = { steps: [{ kind: 'create' as const, connector, changes: [] }], unchanged: [], undeclared: [] }
const validated = 'PUT /connector-plugins/X/config/validate'

test('a Connect that is not there is said to be not there, and which setting names it', async () => {
  const client = connectClient('http://127.0.0.1:1')

  const asked = client.connectors()

  await assert.rejects(asked, /Kafka Connect does not answer at http:\/\/127\.0\.0\.1:1; .*FRESHET_CONNECT_URL/)
})

test('something else than Connect is said to be something else', async () => {
  await using played = await playedConnect({ 'GET /connectors?expand=info&expand=status': [502, 'bad gateway'] })

  const asked = played.client.connectors()

  await assert.rejects(asked, /answers 502, and not as Kafka Connect does/)
})

test('a plugin that is missing is named with those that are there', async () => {
  const message =
    "Failed to find any class that implements Connector and which name matches X, available connectors are: PluginDesc{klass=class a.B, name='a.B', version='1'}, PluginDesc{klass=class c.D, name='c.D', version='1'}"
  await using played = await playedConnect({ [validated]: [500, { error_code: 500, message }] })

  const refused = await refusals(create, played.client)

  assert.deepEqual(refused, [
    `a.yaml: Connect refuses ${validated}: connector.class: Connect has no X; it has a.B, c.D (500)`,
  ])
})

test('what is refused is told by setting, and a secret that Connect resolved is not repeated', async () => {
  const configs = [
    { definition: { type: 'STRING' }, value: { name: 'host', value: '', errors: ['The host is required'] } },
    { definition: { type: 'PASSWORD' }, value: { name: 'pin', value: 'hunter2', errors: ['hunter2 is too short'] } },
    { definition: null, value: { name: 'db.password', value: 'hunter2', errors: ['hunter2 is wrong'] } },
    { definition: { type: 'INT' }, value: { name: 'ok', value: '1', errors: [] } },
  ]
  await using played = await playedConnect({ [validated]: [200, { configs }] })

  const refused = await refusals(create, played.client)

  assert.deepEqual(refused, [
    'a.yaml: host: The host is required',
    'a.yaml: pin: is refused; its value is not shown',
    'a.yaml: db.password: is refused; its value is not shown',
  ])
})

test('a connector whose task fails after it was written is told as failed, with the cause', async () => {
  const task = {
    id: 0,
    state: 'FAILED',
    worker_id: 'w',
    trace: 'a.B: outer\n\tat x\nCaused by: a.C: the disk is full\n',
  }
  const status = { name: 'a', connector: { state: 'RUNNING', worker_id: 'w' }, tasks: [task], type: 'sink' }
  await using played = await playedConnect({
    'PUT /connectors/a/config': [201, {}],
    'GET /connectors?expand=info&expand=status': [200, { a: { info: { config: {} }, status } }],
  })

  const outcomes = await carryOut(create, played.client)

  assert.deepEqual(outcomes, [{ name: 'a', outcome: 'failed', cause: 'C: the disk is full' }])
})

test('a connector that does not begin in time is said to wait', async () => {
  const status = { name: 'a', connector: { state: 'UNASSIGNED', worker_id: 'w' }, tasks: [], type: 'sink' }
  await using played = await playedConnect({
    'PUT /connectors/a/config': [201, {}],
    'GET /connectors?expand=info&expand=status': [200, { a: { info: { config: {} }, status } }],
  })

  const outcomes = await carryOut(create, played.client, 1)

  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome),
    ['does not run yet'],
  )
})

test('a failure from before a change is not taken for one of the change', async () => {
  const worker = { worker_id: 'w' }
  const of = (state: string, trace?: string) => ({
    a: {
      info: { config: {} },
      status: { name: 'a', connector: { state: 'RUNNING', ...worker }, tasks: [{ id: 0, state, trace, ...worker }] },
    },
  })
  const told = [of('FAILED', 'x.Y: too large'), of('FAILED', 'x.Y: too large'), of('RUNNING')]
  await using played = await playedConnect({
    'PUT /connectors/a/config': [200, {}],
    'GET /connectors?expand=info&expand=status': () => [200, told.length > 1 ? told.shift() : told[0]],
  })

  const outcomes = await carryOut({ ...create, steps: [{ kind: 'update', connector, changes: [] }] }, played.client)

  assert.deepEqual(outcomes, [{ name: 'a', outcome: 'runs', cause: null }])
})
