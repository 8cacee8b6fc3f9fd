import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { localAttributes } from '../cli/local-attributes.ts'
import { portsFrom } from '../infra/local/ports.ts'
import { declarationIn } from '../search/attributes.ts'
import {
  adminConfig,
  gatewayConfig,
  inferenceConfig,
  isSecret,
  loadConfig,
  type platformConfig,
  queryConfig,
  variableOf,
  workerConfig,
} from '../services/config.ts'

/** What can be known of the compose file and the image without a Docker daemon. */
const root = join(import.meta.dirname, '..')
const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
const dockerfile = readFileSync(join(root, 'infra/docker/Dockerfile'), 'utf8')

const condition = z.enum(['service_started', 'service_healthy', 'service_completed_successfully'])
const duration = z.string().regex(/^\d+s$/)
const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  user: z.string().optional(),
  init: z.boolean().optional(),
  restart: z.enum(['no', 'always', 'on-failure', 'unless-stopped']).optional(),
  stop_grace_period: duration.optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition })).default({}),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.enum(['CMD', 'CMD-SHELL'])], z.string()),
      interval: duration,
      timeout: duration,
      retries: z.number().int().positive(),
    })
    .optional(),
})
const composeFile = z.strictObject({
  name: z.string(),
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.null()),
})

const parsed = parseDocument(text, { merge: true, strict: true, uniqueKeys: true })
const whole = parsed.toJS() as Record<string, unknown>
const { services, volumes } = composeFile.parse(
  Object.fromEntries(Object.entries(whole).filter(([name]) => !name.startsWith('x-'))),
)
const each = Object.entries(services)
const ours = each.filter(([, { environment }]) => 'FRESHET_HOST' in environment)

test('the compose file is sound, and has every part', () => {
  const names = Object.keys(services).sort()

  assert.deepEqual(parsed.errors, [])
  assert.deepEqual(names, [
    'admin',
    'connect',
    'gateway',
    'inference',
    'kafka',
    'qdrant',
    'query',
    'registry',
    'registry-rules',
    'secrets',
    'worker',
  ])
})

test('every image is pinned, and Kafka Connect is of the same Kafka', () => {
  const images = each.map(([, { image }]) => image)
  const bases = [...dockerfile.matchAll(/^FROM (\S+:\S+)/gm)].map(([, base = '']) => base)

  assert.deepEqual(
    [...images, ...bases].filter((image) => !/:v?\d+\.\d+\.\d+[\w.-]*$/.test(image)),
    [],
  )
  assert.equal(services.connect!.image, services.kafka!.image)
})

test('every port is on the loopback, and is the one that the local stack has', () => {
  const known = Object.values(portsFrom(18_000)).map(String)

  const published = each.flatMap(([, { ports }]) => ports.map((port) => port.split(':')))

  assert.deepEqual(
    published.filter(([host, port = '']) => host !== '127.0.0.1' || !known.includes(port)),
    [],
  )
  // The gateway alone reaches the services behind it.
  const { query, admin, inference, inferenceGrpc } = portsFrom(18_000)
  assert.equal(
    published.some(([, port]) => [query, admin, inference, inferenceGrpc].map(String).includes(port!)),
    false,
  )
  assert.ok(published.length >= known.length - 5)
})

test('whatever runs on says when it is ready, and what waits for it waits for that', () => {
  const waits = each.flatMap(([name, { depends_on }]) =>
    Object.entries(depends_on).map(([on, { condition }]) => ({ name, on, condition })),
  )
  const endsByItself = (name: string) => name === 'registry-rules' || name === 'secrets'

  assert.deepEqual(
    each.filter(([name, { healthcheck }]) => !healthcheck && !endsByItself(name)),
    [],
  )
  assert.deepEqual(
    waits.filter(
      ({ on, condition }) =>
        !(on in services) || condition !== (endsByItself(on) ? 'service_completed_successfully' : 'service_healthy'),
    ),
    [],
  )
  assert.ok(waits.length > 0)
})

test('every volume is declared, and every file that is mounted is there', () => {
  const sources = each.flatMap(([, { volumes }]) => volumes.map((volume) => volume.split(':')[0]!))

  assert.deepEqual(
    sources.filter((source) => (source.startsWith('./') ? !existsSync(join(root, source)) : !(source in volumes))),
    [],
  )
})

test('the settings of our services are settings, with values that they take', () => {
  const schemas = {
    worker: workerConfig,
    query: queryConfig,
    admin: adminConfig,
    inference: inferenceConfig,
    gateway: gatewayConfig,
  }

  for (const [name, { environment, command }] of ours) {
    const schema = schemas[command?.[0] as keyof typeof schemas]
    const env = Object.fromEntries(
      Object.entries(environment).map(([variable, value]) => [
        variable,
        String(value).replace(/^\$\{\w+:-(.*)\}$/, '$1'),
      ]),
    )
    const known = Object.keys(schema.shape).flatMap((setting) =>
      isSecret(schema, setting) ? [variableOf(setting), `${variableOf(setting)}_FILE`] : [variableOf(setting)],
    )
    assert.deepEqual(
      Object.keys(env).filter((variable) => !known.includes(variable)),
      [],
    )
    const present = Object.entries(env).filter(([variable]) => !variable.endsWith('_FILE'))
    const config = loadConfig<typeof platformConfig>(schema, { env: Object.fromEntries(present) })
    assert.equal(config.host, '0.0.0.0', `${name} must be reached from outside its container`)
    // It has nothing outside.
    if (name === 'inference') continue
    assert.deepEqual(config.attributes, declarationIn(localAttributes).declared)
    assert.equal(new URL(config.registry!).hostname in services, true)
    assert.equal(new URL(config.qdrantUrl!).hostname in services, true)
    assert.equal(config.kafka!.split(':')[0]! in services, true)
  }
  assert.deepEqual(
    ours.map(([, { command }]) => command?.[0]),
    ['worker', 'query', 'admin', 'inference', 'gateway'],
  )
})

test('Kafka takes records as large as the local stack’s does, and makes no topic by itself', () => {
  const properties = readFileSync(join(root, 'infra/local/kafka/server.properties'), 'utf8')
  const settings = ['message.max.bytes', 'replica.fetch.max.bytes', 'auto.create.topics.enable']

  const differing = settings.filter((name) => {
    const local = new RegExp(`^${name}=(.*)$`, 'm').exec(properties)?.[1]
    return String(services.kafka!.environment[`KAFKA_${name.replaceAll('.', '_').toUpperCase()}`]) !== local
  })

  assert.deepEqual(differing, [])
})

test('the image has what a role imports, and the Node that everything else runs on', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) (\S+)$/gm)].flatMap(([, sources = '']) =>
    sources.split(' '),
  )

  assert.match(dockerfile, new RegExp(`^FROM node:${dependencies.node}-bookworm-slim`, 'm'))
  assert.deepEqual(
    copied.filter((source) => !existsSync(join(root, source))),
    [],
  )
  const present = [...dockerfile.split('NODE_ENV=production')[1]!.matchAll(/^COPY (\w+) \1$/gm)].map(([, name]) => name)
  assert.deepEqual(present, importedBy('services'))
})

/** The folders that a folder needs, itself too. */
function importedBy(first: string): string[] {
  const found = new Set([first])
  for (const folder of found)
    for (const path of globSync(`${folder}/**/*.{ts,tsx}`, { cwd: root })) {
      if (path.endsWith('.test.ts')) continue
      for (const [, to] of readFileSync(join(root, path), 'utf8').matchAll(/from '(?:\.\.\/)+(\w+)\/[^']*'/g))
        if (existsSync(join(root, to!))) found.add(to!)
    }
  return [...found].sort()
}
