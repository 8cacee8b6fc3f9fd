import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { z } from 'zod'
import { portsFrom } from '../infra/local/ports.ts'
import { catalogue } from '../schemas/topics.ts'
import {
  adminConfig,
  callerConfig,
  gatewayConfig,
  inferenceConfig,
  platformConfig,
  queryConfig,
  variableOf,
  workerConfig,
} from '../services/config.ts'
import { CONSOLE_PATHS, routes, SOCKET_PATH } from '../services/gateway/routes.ts'
import { needed } from '../services/query/operations.ts'
import { LIMITS } from '../services/query/protocol.ts'
import { kafkaUsers, topicRights } from '../services/rights.ts'
import { stateKinds } from '../streams/states.ts'
import { descriptions, textOf } from './api.ts'

/** Writes the tables in these pages that follow from the code: `node docs/generate.ts`. A test compares. */
export async function regenerated(page: string): Promise<string> {
  const parts = page.split(/(<!-- generated: [a-z]+ -->\n)[\s\S]*?(?=<!-- end -->)/)
  const written = parts.map(async (part) => {
    const name = /^<!-- generated: ([a-z]+) -->\n$/.exec(part)?.[1]
    if (name === undefined) return part
    const make = tables[name]
    if (make === undefined) throw new Error(`there is no table ${name}; there are: ${Object.keys(tables).join(', ')}`)
    return `${part}\n${await make()}\n\n`
  })
  return (await Promise.all(written)).join('')
}

export const pages: readonly string[] = ['operations.md', 'protocol.md', 'security.md', 'evidence/README.md'].map(
  (name) => join(import.meta.dirname, name),
)

const root = join(import.meta.dirname, '..')

const tables: Readonly<Record<string, () => string | Promise<string>>> = {
  configuration,
  metrics,
  states,
  ports,
  topics,
  commands,
  limits,
  routes: ways,
  faults,
  rights,
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

/** Every way in, from the tables that the gateway and the query service run by. */
function ways(): string {
  const scopesOf = (scopes: readonly string[]) => scopes.map((scope) => `\`${scope}\``).join(' or ')
  return table(
    ['way in', 'scope', 'leads to'],
    [
      ...routes.map(({ method, path, scopes, to, forOperators }) => [
        `\`${method} ${path}\``,
        `${scopesOf(scopes)}${forOperators ? ', of the operators’ tenant' : ''}`,
        to,
      ]),
      [CONSOLE_PATHS.map((path) => `\`GET ${path}\``).join(', '), 'none', 'the gateway itself'],
      ...Object.entries(needed).map(([type, scopes]) => [
        `\`${SOCKET_PATH}\`, message \`${type}\``,
        scopesOf(scopes),
        'query',
      ]),
    ],
  )
}

interface FaultReport {
  readonly set: string
  readonly seed: number
  readonly commit: string
  readonly rows: readonly {
    readonly id: string
    readonly title: string
    readonly result: string
    readonly counts?: Readonly<Record<'events' | 'kills' | 'documents' | 'points' | 'offsets' | 'answers', number>>
    readonly figures: Readonly<Record<string, number>>
  }[]
}

/** One line for each run of a row of the fault campaign, row by row, oldest commit first. */
function faults(): string {
  const folder = join(import.meta.dirname, 'evidence')
  const reports = readdirSync(folder)
    .filter((name) => /^faults-.*\.json$/.test(name))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as FaultReport)
  const ids = [...new Set(reports.flatMap(({ rows }) => rows.map(({ id }) => id)))]
  const lines = ids.flatMap((id) =>
    reports.flatMap(({ set, seed, commit, rows }) =>
      rows
        .filter((row) => row.id === id)
        .map(({ title, result, counts, figures }) => [
          id,
          title,
          `${seed}, ${set}`,
          code(commit),
          ...(['events', 'kills', 'documents', 'points', 'offsets', 'answers'] as const).map((name) =>
            counts === undefined ? '' : counts[name].toLocaleString('en'),
          ),
          figures['recovery seconds'] === undefined ? '' : `${figures['recovery seconds'].toFixed(1)} s`,
          result,
        ]),
    ),
  )
  const order = new Map(ids.map((id) => [id, Number(/\d+/.exec(id)?.[0] ?? 0)]))
  lines.sort((a, b) => order.get(a[0]!)! - order.get(b[0]!)!)
  return table(
    [
      'row',
      'fault',
      'seed, set',
      'commit',
      'events',
      'kills',
      'documents',
      'points',
      'offsets',
      'answers read',
      'recovery',
      'result',
    ],
    lines,
  )
}

const code = (text: unknown): string => `\`${String(text)}\``

interface Property {
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly string[]
  readonly type?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly pattern?: string
  readonly format?: string
  readonly secret?: boolean
}

function configuration(): string {
  const roles = {
    worker: propertiesOf(workerConfig),
    query: propertiesOf(queryConfig),
    gateway: propertiesOf(gatewayConfig),
    admin: propertiesOf(adminConfig),
    inference: propertiesOf(inferenceConfig),
    'command line': propertiesOf(callerConfig),
  }
  const shared = propertiesOf(platformConfig)
  const names = [...new Set([...Object.keys(shared), ...Object.values(roles).flatMap(Object.keys)])]
  const rows = names.map((name) => {
    const readers = Object.entries(roles).filter(([, properties]) => name in properties)
    const property = readers[0]![1][name]!
    return [
      code(`${variableOf(name)}${property.secret === true ? ' *' : ''}`),
      name in shared ? 'all' : readers.map(([role]) => role).join(', '),
      valuesOf(property),
      defaultOf(name, property),
      property.description ?? '',
    ]
  })
  return table(['variable', 'role', 'values', 'default', 'what it is'], rows)
}

const propertiesOf = (schema: z.ZodObject): Record<string, Property> =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).properties as Record<string, Property>

function valuesOf({ enum: choices, minimum, exclusiveMinimum, maximum, format, pattern }: Property): string {
  if (choices) return choices.map(code).join(', ')
  // A whole number without a bound of its own has JavaScript's.
  if (minimum !== undefined)
    return maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? `from ${minimum}` : `${minimum} to ${maximum}`
  if (exclusiveMinimum !== undefined) return `above ${exclusiveMinimum}`
  if (format === 'uri') return 'URL'
  if (format === 'json') return 'JSON'
  return pattern === undefined ? 'text' : code(pattern)
}

function defaultOf(name: string, { default: value }: Property): string {
  if (name === 'embedWorkers') return 'one per core'
  if (value === undefined) return ''
  return value === '' ? 'empty' : code(value)
}

/** Metrics are declared where they are counted: found in the sources by their shape. */
function metrics(): string {
  const rows = ['worker', 'query', 'gateway', 'admin', 'inference', 'both'].flatMap((role) =>
    sourcesIn(join(root, 'services', role === 'both' ? '' : role)).flatMap((source) =>
      [...source.matchAll(/new (Counter|Gauge|Histogram)\(\{([\s\S]*?)\n {2}\}\)/g)].map(([, kind, body = '']) => {
        const field = (name: string) => new RegExp(`${name}: '([^']*)'`).exec(body)?.[1] ?? ''
        return [code(field('name')), kind!.toLowerCase(), role, labelsIn(body, source), field('help')]
      }),
    ),
  )
  return table(
    ['metric', 'kind', 'role', 'labels', 'help'],
    rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
  )
}

function states(): string {
  const rows = Object.entries(stateKinds).map(([name, { means, advice }]) => [code(name), means, advice])
  return table(['state', 'what it means', 'what to do'], rows)
}

function labelsIn(body: string, source: string): string {
  const listed = /labelNames: (\[[^\]]*\]|\w+)/.exec(body)?.[1] ?? ''
  const names = listed.startsWith('[')
    ? listed
    : (new RegExp(`const ${listed} = (\\[[^\\]]*\\])`).exec(source)?.[1] ?? '')
  return [...names.matchAll(/'([^']+)'/g)].map(([, name]) => code(name)).join(', ')
}

const sourcesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))

function ports(): string {
  const about: Record<keyof ReturnType<typeof portsFrom>, string> = {
    qdrantHttp: 'Qdrant, HTTP (only the server; the embedded one has none)',
    qdrant: 'Qdrant, gRPC',
    gateway: 'gateway: the public door, HTTP and WebSocket',
    query: 'query service, for the gateway: HTTP and WebSocket',
    registry: 'schema registry, HTTP',
    connect: 'Kafka Connect, HTTP',
    workerMetrics: 'worker: `/metrics`, `/health/ready`, `/health/live`',
    queryMetrics: 'query service: `/metrics`, `/health/ready`, `/health/live`',
    admin: 'admin service, for the gateway: HTTP',
    adminMetrics: 'admin: `/metrics`, `/health/ready`, `/health/live`',
    gatewayMetrics: 'gateway: `/metrics`, `/health/ready`, `/health/live`',
    inference: 'inference service, for the gateway: HTTP',
    inferenceGrpc: 'inference service: gRPC, Open Inference',
    inferenceMetrics: 'inference: `/metrics`, `/health/ready`, `/health/live`',
    kafka: 'Kafka',
    controller: 'Kafka’s controller',
  }
  const rows = Object.entries(portsFrom(BASE)).map(([name, port]) => [
    `base + ${port - BASE}`,
    String(port),
    about[name as keyof typeof about],
  ])
  return table(['port', 'by default', 'what listens'], rows)
}

const BASE = 18_000

function topics(): string {
  const rows = catalogue.map(({ name, about, partitions, keyed, config }) => [
    code(name),
    about,
    partitions === 'shared' ? '`FRESHET_PARTITIONS`' : String(partitions),
    keyed ? 'murmur2 of the key' : 'any partition',
    kept(config),
  ])
  return table(['topic', 'what flows', 'partitions', 'a record lies in', 'kept'], rows)
}

function kept(config: Readonly<Record<string, string>>): string {
  if (config['cleanup.policy'] === 'compact') return 'compacted'
  return `${Number(config['retention.ms']) / 86_400_000} days`
}

function rights(): string {
  const rows = catalogue.map((topic) => [
    code(topic.name),
    ...kafkaUsers.map((user) => topicRights[user].find(([of]) => of === topic)?.[1].join(', ') ?? ''),
  ])
  return table(['topic', ...kafkaUsers.map(code)], rows)
}

function limits(): string {
  return table(
    ['limit', 'value'],
    Object.entries(LIMITS).map(([name, value]) => [code(name), value.toLocaleString('en')]),
  )
}

async function commands(): Promise<string> {
  const all = (await freshetCommands()).flatMap((command) => [
    { command, name: command.name() },
    ...command.commands.map((each) => ({ command: each, name: `${command.name()} ${each.name()}` })),
  ])
  const rows = all.flatMap(({ command, name }) => [
    [
      code(
        `freshet ${name} ${command.usage().replace('[options] ', '').replace('[options]', '').replace('[command]', '')}`.trim(),
      ),
      command.description(),
    ],
    ...command.options.map(({ flags, description }) => [`&nbsp;&nbsp;${code(flags)}`, description]),
  ])
  return table(['command', 'what it does'], rows)
}

/** The commands of `cli/main.ts`, which runs when it is loaded and so cannot be imported: each has a file of its name. */
export async function freshetCommands(): Promise<Command[]> {
  const main = readFileSync(join(root, 'cli', 'main.ts'), 'utf8')
  const names = [...(/for \(const command of \[([^\]]*)\]/.exec(main)?.[1] ?? '').matchAll(/(\w+)\(\)/g)]
  if (names.length === 0) throw new Error('cli/main.ts does not list its commands as it did')
  return Promise.all(
    names.map(async ([, name = '']) => {
      const module = (await import(`../cli/${name}.ts`)) as Record<string, () => Command>
      return module[name]!()
    }),
  )
}

if (import.meta.main) {
  for (const page of pages) writeFileSync(page, await regenerated(readFileSync(page, 'utf8')))
  for (const { name, make } of descriptions) writeFileSync(join(import.meta.dirname, name), textOf(make()))
}
