import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from '../../client/client.ts'
import { trust } from '../../connectors/qdrant/trust.ts'
import { authority } from '../../infra/local/secure/certificates.ts'
import { repositoryDir } from '../../infra/local/settings.ts'
import { ensureTopics } from '../../schemas/ensure-topics.ts'
import { actions, catalogue, control, documents, inbox, vectors } from '../../schemas/topics.ts'
import { kafkaSecurity } from '../../services/credentials.ts'
import { aclsOf, type KafkaUser, kafkaUsers, topicRights } from '../../services/rights.ts'
import { setAcls } from '../../streams/brokers/kafka-acls.ts'
import { Forbidden, reasonOf } from '../../streams/errors.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { nameIn } from '../../streams/topic.ts'
import { startProcess } from '../process.ts'
import { until } from '../until.ts'
import { plantAll, secretSettings } from './canaries.ts'
import { type SecureStack, secureStack } from './secure-stack.ts'

/** The platform behind TLS, passwords and access lists: what it is for works, and each can do what is declared for it and no more. */
let secure: SecureStack
let apiKey: string

before(async () => {
  secure = await secureStack()
  trust(readFileSync(secure.made.ca, 'utf8'))
  const made = await freshet('keys', 'create', 'the test', '--scopes', 'search,publish', '--json')
  apiKey = (JSON.parse(made) as { apiKey: string }).apiKey
})
after(() => secure?.[Symbol.asyncDispose]())

/** The command line with the one file that it is given. */
async function freshet(...args: string[]): Promise<string> {
  const env = {
    FRESHET_CONFIG: secure.operatorConfig,
    FRESHET_DATA: '',
    FRESHET_PORT_BASE: '',
    FRESHET_TOOLS: '',
    FRESHET_ENGINE: 'hash',
  }
  const command = startProcess('freshet', process.execPath, ['cli/main.ts', ...args], { cwd: repositoryDir, env })
  assert.equal(await command.ended, 'ended with exit code 0', command.log())
  return command.log()
}

const door = () => `wss://127.0.0.1:${secure.ports.gateway}/v1/ws`

async function clientOf() {
  let client: Awaited<ReturnType<typeof connect>> | null = null
  await until('the gateway knows the key', async () => {
    client ??= await connect(door(), { apiKey }).catch(() => null)
    return client !== null
  })
  return client!
}

test('a document that is published at the door is found, and so is one that a producer sent to inbox', async () => {
  const client = await clientOf()
  const producer = secure.as('producer')
  const serde = producer.serde(LIVE)
  await serde.register([inbox])
  const key = 'default/sent'
  const value = serde.encode(inbox, { text: 'Sent by a producer that may do nothing else.', contentType: 'text/plain' })

  const { token } = await client.publish([{ id: 'published', text: 'Published at the door.' }])
  await client.wait(token)
  const sender = await producer.broker.producer()
  await sender.send([{ topic: nameIn(LIVE, inbox), partition: partitionOf(key, 2), key, value }])

  await until('both are found', async () => {
    const found = await client.search({ query: 'published by a producer at the door' })
    const ids = found.hits.map(({ documentId }) => documentId).sort()
    return ids.join() === 'published,sent' || ids.join()
  })
  await client.close()
})

test('each user can read and write what is declared for it, and of everything else nothing', async () => {
  const scope = { prefix: 'matrix.', space: 'es_matrix' }
  const admin = secure.superUser('set-up')
  const wanted = [...aclsOf(''), ...aclsOf(scope.prefix)]
  // One that is not declared, and is to be taken away again.
  const more = { of: 'topic', name: nameIn(scope, documents), prefixed: false, may: ['WRITE'] } as const
  await setAcls(adminOptions(), [...wanted, { user: 'producer', ...more }])
  await setAcls(adminOptions(), wanted)
  await ensureTopics(admin.broker.admin, { scope, partitions: 1, replicationFactor: 1 })
  const sender = await admin.broker.producer()
  await sender.send(catalogue.map((topic) => ({ topic: nameIn(scope, topic), partition: 0, key: 'k', value: VALUE })))

  const found = await Promise.all(
    kafkaUsers.map(async (user) => {
      const rows: string[] = []
      for (const topic of catalogue) {
        const name = nameIn(scope, topic)
        for (const [right, attempt] of [
          ['read', reads],
          ['write', writes],
        ] as const)
          rows.push(`${user} ${right} ${topic.name}: ${await attempt(user, name)}`)
      }
      return rows
    }),
  )

  const declared = kafkaUsers.map((user) =>
    catalogue.flatMap((topic) =>
      (['read', 'write'] as const).map((right) => {
        const rights = topicRights[user].find(([of]) => of === topic)?.[1] ?? []
        return `${user} ${right} ${topic.name}: ${rights.includes(right) ? 'allowed' : 'denied'}`
      }),
    ),
  )
  assert.deepEqual(found, declared)
  // Said once more by itself: a right too many in the declaration would be in both.
  const denied = new Set(found.flat().filter((row) => row.endsWith('denied')))
  for (const row of [
    'gateway write control: denied',
    'gateway read documents: denied',
    'query write control: denied',
    'query write vectors.<space>: denied',
    'query read dead-letters: denied',
    'worker write actions: denied',
    'worker write inbox: denied',
    'producer read inbox: denied',
    'producer write documents: denied',
    'connect read documents: denied',
  ])
    assert.ok(denied.has(row), row)
})

test('topics are made and removed, groups joined, ids taken and rights given by nobody who need not', async () => {
  const spec = (name: string) => ({ name, partitions: 1, replicationFactor: 1, config: {} })
  const admins = { worker: secure.as('worker'), query: secure.as('query'), gateway: secure.as('gateway') }
  const group = (user: keyof typeof admins) => committed(user, 'freshet.embed-documents.es_x', nameIn(LIVE, documents))

  const outcomes = {
    'worker makes vectors of another space': await outcome(() =>
      admins.worker.broker.admin.createTopics([spec(nameIn({ ...LIVE, space: 'es_other' }, vectors))]),
    ),
    'worker makes any topic': await outcome(() => admins.worker.broker.admin.createTopics([spec('anything')])),
    'query makes vectors of another space': await outcome(() =>
      admins.query.broker.admin.createTopics([spec(nameIn({ ...LIVE, space: 'es_third' }, vectors))]),
    ),
    'worker removes documents': await outcome(() => admins.worker.broker.admin.deleteTopics([nameIn(LIVE, documents)])),
    'operator removes documents': await outcome(() =>
      secure.as('operator').broker.admin.deleteTopics([nameIn(LIVE, documents)]),
    ),
    'worker looks at its group': await outcome(() => group('worker')),
    'query looks at the group of the worker': await outcome(() => group('query')),
    'worker takes an id of ingest': await outcome(() => takes('worker', 'freshet.ingest/x')),
    'query takes an id of ingest': await outcome(() => takes('query', 'freshet.ingest/x')),
    'worker gives itself rights': await outcome(() => setAcls(optionsOf('worker'), aclsOf(''))),
    'operator gives itself rights': await outcome(() => setAcls(optionsOf('operator'), aclsOf(''))),
  }

  assert.deepEqual(outcomes, {
    'worker makes vectors of another space': 'allowed',
    'worker makes any topic': 'denied',
    'query makes vectors of another space': 'denied',
    'worker removes documents': 'denied',
    'operator removes documents': 'denied',
    'worker looks at its group': 'allowed',
    'query looks at the group of the worker': 'denied',
    'worker takes an id of ingest': 'allowed',
    'query takes an id of ingest': 'denied',
    'worker gives itself rights': 'denied',
    'operator gives itself rights': 'denied',
  })
})

test('who comes without TLS, as nobody, or with a wrong password is not let in, and is told which settings to look at', async () => {
  const wrong = { FRESHET_KAFKA_PASSWORD_FILE: '', FRESHET_KAFKA_PASSWORD: 'wrong' }
  const nobody = { ...wrong, FRESHET_KAFKA_PASSWORD: '', FRESHET_KAFKA_USERNAME: '' }
  const other = join(secure.dataDir, 'other.crt')
  writeFileSync(other, authority('another', new Date()).certificate)
  const ready = (env: Record<string, string>) => told(secure.as('worker', env).broker.admin.ready(500))

  const plaintext = await ready({ ...nobody, FRESHET_KAFKA_SECURITY: '', FRESHET_KAFKA_CA: '' })
  const withoutUser = await ready({ ...nobody, FRESHET_KAFKA_SECURITY: 'tls' })
  const wrongPassword = await ready(wrong)
  const untrusted = await ready({ FRESHET_KAFKA_CA: other })
  const controller = await ready({
    ...nobody,
    FRESHET_KAFKA: `127.0.0.1:${secure.ports.controller}`,
    FRESHET_KAFKA_SECURITY: '',
    FRESHET_KAFKA_CA: '',
  })

  assert.match(plaintext, /wants TLS.*kafkaSecurity is plaintext/)
  assert.match(withoutUser, /kafkaSecurity is tls/)
  assert.match(wrongPassword, /does not let us in by SCRAM-SHA-512.*kafkaUsername is worker, with kafkaPassword/)
  assert.match(untrusted, /no TLS with Kafka: .*kafkaCa is .*other.crt/)
  assert.match(controller, /wants TLS/)
})

test('the registry and Qdrant let nobody in without a token and a key, and the gateway registers nothing', async () => {
  const without = { FRESHET_REGISTRY_TOKEN_FILE: '', FRESHET_QDRANT_API_KEY_FILE: '' }
  const nobody = secure.as('worker', without)
  const stranger = secure.as('worker', { ...without, FRESHET_REGISTRY_TOKEN: 'a.b.c', FRESHET_QDRANT_API_KEY: 'wrong' })
  const schema = { type: 'record', name: 'Strange', fields: [] }
  const lists = (outside: typeof nobody) => {
    const qdrant = outside.qdrant({ timeoutMs: 3_000 })
    return told(qdrant.read('its collections', (options) => qdrant.collections.list({}, options)))
  }

  const nobodyRegisters = await told(nobody.registry.register('x-value', schema))
  const strangerRegisters = await told(stranger.registry.register('x-value', schema))
  const gatewayRegisters = await told(secure.as('gateway').registry.register('x-value', schema))
  const workerRegisters = await told(secure.as('worker').registry.register('x-value', schema))
  const listed = [await lists(nobody), await lists(stranger), await lists(secure.as('worker'))]

  assert.match(nobodyRegisters, /refused us \(401\); set registryToken/)
  assert.match(strangerRegisters, /refused us \(401\); correct registryToken/)
  assert.match(gatewayRegisters, /refused us \(403\)/)
  assert.match(listed[0]!, /does not let us in: set qdrantApiKey/)
  assert.match(listed[1]!, /does not let us in: correct qdrantApiKey/)
  assert.deepEqual([workerRegisters, listed[2]], ['let in', 'let in'])
})

test('a token of OAuth is as good as a password for whom it names, and one for somebody else is not', async () => {
  const oauth = (token: string) => ({
    FRESHET_KAFKA_SASL_MECHANISM: 'oauthbearer',
    FRESHET_KAFKA_USERNAME: '',
    FRESHET_KAFKA_PASSWORD_FILE: '',
    FRESHET_KAFKA_OAUTH_TOKEN: token,
  })
  const producer = secure.as('producer', oauth(await secure.token('producer', 'kafka')))

  const sends = await outcome(() => sendsTo(producer, nameIn(LIVE, inbox)))
  const reads = await outcome(() => readsFrom(producer, nameIn(LIVE, documents)))
  const ready = async (token: string) => told(secure.as('producer', oauth(token)).broker.admin.ready(500))
  const foreign = await ready(await secure.token('producer', 'others'))
  const expired = await ready(await secure.token('producer', 'kafka', Date.now() - 7_200_000))

  assert.deepEqual({ sends, reads }, { sends: 'allowed', reads: 'denied' })
  assert.match(foreign, /by OAUTHBEARER: the token is not good: .*with kafkaOauthToken/)
  assert.match(expired, /by OAUTHBEARER: the token is not good/)
})

test('a password and a token that are written anew are taken at the next connection, without a restart', async () => {
  const file = (name: string, content: string) => {
    const path = join(secure.dataDir, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const password = file('renewed-password', 'not yet')
  const token = file('renewed-token', 'not yet')
  const outside = secure.as('worker', { FRESHET_KAFKA_PASSWORD_FILE: password, FRESHET_REGISTRY_TOKEN_FILE: token })
  const before = [await told(outside.broker.admin.ready(200)), await told(outside.serde(LIVE).register([control]))]

  writeFileSync(password, readFileSync(secure.made.passwordOf('worker')))
  writeFileSync(token, readFileSync(secure.made.registryTokenOf('worker')))

  await outside.broker.admin.ready(5_000)
  await until('the registry lets us in', async () => {
    const registered = await told(outside.serde(LIVE).register([control]))
    return registered === 'let in' || registered
  })
  assert.match(before[0]!, /SCRAM/)
  assert.match(before[1]!, /401/)
})

test('what is secret can be read by nobody else on the machine', () => {
  const folder = secure.made.folder
  const secrets = readdirSync(folder).map((name) => join(folder, name))
  const configurations = [join(secure.dataDir, 'kafka', 'server.properties'), secure.operatorConfig]

  const open = [folder, ...secrets, ...configurations].filter((path) => (statSync(path).mode & 0o077) !== 0)

  assert.deepEqual(open, [])
  assert.ok(secrets.length > kafkaUsers.length)
})

test('a secret comes out nowhere, whatever goes wrong: not in logs, errors, health, metrics or answers', async () => {
  const planted = await plantAll(secure)

  const leaks = planted.flatMap(({ setting, canary, said }) =>
    shapesOf(canary).some((shape) => said.includes(shape)) ? [setting] : [],
  )

  assert.deepEqual(leaks, [])
  assert.deepEqual([...new Set(planted.map(({ setting }) => setting))].sort(), [...secretSettings].sort())
  assert.ok(planted.every(({ said }) => said.length > 0))
})

test('nor do those that the platform runs with: not in the log of any part, its metrics, or the topics of what was decided', async () => {
  const logs = join(secure.dataDir, 'logs')
  const said = readdirSync(logs).map((name) => [name, readFileSync(join(logs, name), 'utf8')] as const)
  const admin = secure.superUser('set-up').broker
  const pages: (readonly [string, string])[] = []
  for (const port of [
    secure.ports.workerMetrics,
    secure.ports.queryMetrics,
    secure.ports.gatewayMetrics,
    secure.ports.adminMetrics,
    secure.ports.inferenceMetrics,
  ])
    for (const page of ['metrics', 'health/ready'])
      pages.push([`${port}/${page}`, await (await fetch(`http://127.0.0.1:${port}/${page}`)).text()])
  for (const topic of [control, actions]) {
    const name = nameIn(LIVE, topic)
    const [{ end } = { end: 0 }] = await admin.admin.offsets(name)
    for await (const { records } of admin.read({ topic: name, partition: 0, from: 0, to: end }))
      pages.push([name, records.map(({ value }) => value?.toString('latin1') ?? '').join('\n')])
  }
  const secrets = readdirSync(secure.made.folder)
    .filter((name) => !name.endsWith('.crt'))
    .map((name) => [name, readFileSync(join(secure.made.folder, name), 'utf8').trim()] as const)
  const inner = readFileSync(join(secure.dataDir, 'internal-secret'), 'utf8').trim()

  const leaks = [...secrets, ['internal-secret', inner] as const, ['the API key', apiKey] as const].flatMap(
    ([secret, value]) =>
      [...said, ...pages].flatMap(([where, text]) =>
        shapesOf(value).some((shape) => text.includes(shape)) ? [`${secret} in ${where}`] : [],
      ),
  )

  assert.deepEqual(leaks, [])
  assert.deepEqual(
    said.map(([name]) => name).sort(),
    ['admin', 'gateway', 'inference', 'kafka', 'qdrant', 'query', 'registry', 'worker'].map((part) => `${part}.log`),
  )
  assert.ok(pages.filter(([name]) => name === nameIn(LIVE, actions)).some(([, text]) => text.includes('the test')))
})

/** As it is, the longest line of it, and as headers and addresses would carry it. */
function shapesOf(secret: string): string[] {
  const line = secret.split('\n').reduce((longest, each) => (each.length > longest.length ? each : longest))
  // Behind a user's name and a colon it may begin at any of three places of base64.
  const coded = [0, 1, 2].map((shift) =>
    Buffer.from('x'.repeat(shift) + line)
      .toString('base64')
      .slice(4, -4),
  )
  return [line, Buffer.from(line).toString('hex'), ...coded]
}

const LIVE = { prefix: '', space: 'es_68617368656e6769' }
const VALUE = Buffer.from('x')

const adminOptions = () => ({
  brokers: [`127.0.0.1:${secure.ports.kafka}`],
  clientId: 'test',
  security: kafkaSecurity(secure.configOf('set-up')),
})
const optionsOf = (user: KafkaUser) => ({ ...adminOptions(), security: kafkaSecurity(secure.configOf(user)) })

/** allowed, or denied by Kafka; anything else is a fault of the test. */
async function outcome(attempt: () => Promise<unknown>): Promise<'allowed' | 'denied'> {
  try {
    await attempt()
    return 'allowed'
  } catch (error) {
    if (error instanceof Forbidden || /have no right to the group/.test(reasonOf(error))) return 'denied'
    throw error
  }
}

/** Why not, or that it is so. */
const told = (attempt: Promise<unknown>): Promise<string> => attempt.then(() => 'let in', reasonOf)

const reads = (user: KafkaUser, topic: string) => outcome(() => readsFrom(secure.as(user), topic))
const writes = (user: KafkaUser, topic: string) => outcome(() => sendsTo(secure.as(user), topic))

async function readsFrom({ broker }: { broker: ReturnType<SecureStack['as']>['broker'] }, topic: string) {
  let read = 0
  const signal = AbortSignal.timeout(ATTEMPT_MS_MAX)
  for await (const { records } of broker.read({ topic, partition: 0, from: 0, to: 1, signal })) read += records.length
  assert.equal(read, 1)
}

async function sendsTo({ broker }: { broker: ReturnType<SecureStack['as']>['broker'] }, topic: string) {
  const producer = await broker.producer()
  try {
    await producer.send([{ topic, partition: 0, key: 'k', value: VALUE }])
  } finally {
    await producer.close()
  }
}

async function committed(user: KafkaUser, group: string, topic: string) {
  await secure.as(user).broker.admin.committed(group, topic)
}

async function takes(user: KafkaUser, id: string) {
  const producer = await secure.as(user).broker.transactionalProducer(id, { timeoutMs: 10_000 })
  await producer.close()
}

const ATTEMPT_MS_MAX = 20_000
