import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { TENANT_NAME, TENANT_NAME_IN_WORDS } from '../schemas/tenant-name.ts'
import { attributeTypes, DECLARED_MAX, declarationIn, NONE_DECLARED } from '../search/attributes.ts'
import { Fatal } from '../streams/errors.ts'
import { addressSetting, type CredentialConfig, credentialFaults, credentialSettings } from './credential-settings.ts'
import { type EmbeddingConfig, embeddingFaults, embeddingSettings } from './embedding-settings.ts'
import { SECRET, Secret, secretSetting } from './secret.ts'

/**
 * The configuration of every role. Each field is set by the file, over it by the environment (`FRESHET_` and the name in
 * capitals), over that by a flag. Nothing else reads `process.env`.
 */
const port = z.coerce.number().int().min(1).max(65_535)
const count = z.coerce.number().int().min(1)
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== ''),
)
const origins = list.pipe(z.array(z.url()))
const amount = z.coerce.number().positive()
const attributes = z.unknown().transform((given, context) => {
  const { declared, faults } = declarationIn(given)
  for (const message of faults) context.addIssue({ code: 'custom', message })
  return declared
})

/** What is admitted before `documents`, by whichever way it comes: of a tenant. */
const quotaShape = {
  tenantDocumentsPerSecond: amount
    .default(1_000)
    .describe(
      'Documents of one tenant that are admitted, where control has no quota of its own; twice as many at once.',
    ),
  tenantBytesPerSecond: amount
    .default(8 * 1024 * 1024)
    .describe(
      'Bytes of keys and texts of one tenant that are admitted, where control has no quota of its own; ten times as many at once.',
    ),
  tenantEmbeddedTokensPerMinute: amount
    .default(60_000_000)
    .describe(
      'Tokens of one tenant that are admitted to be embedded, about four bytes of text each, where control has no quota of its own; a sixth of it at once.',
    ),
}

export const platformConfig = z.strictObject({
  portBase: z.coerce
    .number()
    .int()
    .min(1_024)
    .max(65_000)
    .default(18_000)
    .describe('All default ports are counted from here.'),
  data: z.string().default('.freshet').describe('Folder for everything that is kept.'),
  kafka: z.string().optional().describe('Kafka brokers, host:port separated by commas. Default: the local stack’s.'),
  registry: addressSetting('registryUsername and registryPassword')
    .optional()
    .describe('Schema registry with Confluent’s API. Default: the local stack’s.'),
  qdrantUrl: addressSetting('qdrantApiKey').optional().describe('Qdrant’s gRPC address. Default: the local stack’s.'),
  ...credentialSettings,
  topicPrefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]*$/, 'may hold letters, digits, dots, underscores and hyphens')
    .default('')
    .describe('Put before the names of all topics, groups and collections.'),
  partitions: count
    .max(256)
    .default(4)
    .describe('Partitions of documents and of all topics that share its number; fixed once they exist.'),
  sources: list
    .pipe(
      z.array(z.string().regex(/^[A-Za-z0-9._-]{1,200}$/, 'may hold letters, digits, dots, underscores and hyphens')),
    )
    .default([])
    .describe(
      'Topics that ingest reads beside inbox, with commas between and without the prefix; those that are missing are created. The same for all roles.',
    ),
  mappings: z
    .string()
    .optional()
    .describe(
      'File, or folder of files, .yaml or .json, that says how topics of others become documents; docs/ingest.md. Read at start. The same for all roles.',
    ),
  attributes: attributes
    .default(NONE_DECLARED)
    .meta({ format: 'json' })
    .describe(
      `Attributes that searches may filter by, each with its type (${attributeTypes.join(', ')}), like {"team":"keyword","year":"integer"}; ${DECLARED_MAX} at most. A document whose declared attribute has another type is rejected. The same for all roles.`,
    ),
  replicationFactor: count.max(16).default(1).describe('Copies of each new topic; 3 in production.'),
  model: z
    .string()
    .default('all-minilm-l6-v2-q')
    .describe(
      'Embedding model: NAME, NAME@VERSION or NAME:LABEL, of the repository of models; elsewhere, as the service there calls it.',
    ),
  ...embeddingSettings,
  modelsDir: z.string().optional().describe('The repository of models. Default: models in the tools folder.'),
  tools: z.string().optional().describe('Folder of what was downloaded. Default: tools in the data folder.'),
  tenant: z
    .string()
    .regex(TENANT_NAME, TENANT_NAME_IN_WORDS)
    .default('default')
    .describe('The tenant of whoever has no other: of configured principals, and of keys that name none.'),
  host: z
    .string()
    .default('127.0.0.1')
    .describe('Address that services and their metrics listen on; the public door has its own.'),
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least severe line that is logged.'),
})

export const workerConfig = platformConfig.extend({
  ...quotaShape,
  sourceDocumentsPerSecond: amount
    .default(5_000)
    .describe(
      'Documents of one source that ingest admits, over all its partitions, where control has no quota of its own; twice as many at once.',
    ),
  sourceBytesPerSecond: amount
    .default(32 * 1024 * 1024)
    .describe('Bytes of keys and values of one source that ingest admits, as above; ten times as many at once.'),
  sourceEmbeddedTokensPerMinute: amount
    .default(300_000_000)
    .describe(
      'Tokens of one source that ingest admits to be embedded, about four bytes of the value each, as above; a sixth of it at once.',
    ),
  workerPort: port.optional().describe('Port of the worker’s metrics and health. Default: portBase + 90.'),
  embedWorkers: count
    .max(256)
    .default(Math.max(1, availableParallelism()))
    .describe('Threads that embed documents, one session each.'),
  vectorCacheBytesMax: z.coerce
    .number()
    .int()
    .min(0)
    .default(64 * 1024 * 1024)
    .describe('Bound of the cache of vectors by text hash, bytes.'),
  bulkLagMax: count
    .default(1_000)
    .describe(
      'Offsets of documents, over all partitions, that the index may be behind while sources that are marked bulk go on.',
    ),
  rebuildRecordsPerSecondMax: z.coerce
    .number()
    .min(1)
    .default(300)
    .describe('Records a second, of each worker, that fill a new collection beside live traffic; above the live rate.'),
  engine: z
    .enum(['model', 'hash'])
    .default('model')
    .describe('hash: vectors from hashed words, without a model, for tests of everything else.'),
  embeddingPricePerThousand: z.coerce
    .number()
    .min(0)
    .optional()
    .describe('What 1,000 embeddings cost, in any currency: freshet rebuild then says what it would cost.'),
  sessionTimeoutMs: z.coerce
    .number()
    .int()
    .min(6_000)
    .max(300_000)
    .default(10_000)
    .describe('How long Kafka waits for a dead worker before others take its partitions, ms.'),
  auditPointsPerSecondMax: z.coerce
    .number()
    .int()
    .min(0)
    .default(200)
    .describe(
      'Points of the index that the continuous audit reads per second, or twenty records of documents for one; 0: no audit.',
    ),
  auditEveryMs: z.coerce
    .number()
    .int()
    .min(1_000)
    .default(3_600_000)
    .describe(
      'From the beginning of one audit of a partition to that of the next, ms; where one takes longer, the next follows it.',
    ),
  auditRepair: z
    .enum(['on', 'off'])
    .default('on')
    .describe('Whether the continuous audit repairs what it finds, or only tells.'),
  auditRepairsMax: z.coerce
    .number()
    .int()
    .min(0)
    .default(1_000)
    .describe(
      'Documents that one continuous audit of a partition has derived again; what is above it is told, and left to the next.',
    ),
})

function secretsIn(text: string): string[] {
  return text.split(',').map((each) => each.trim())
}

/** Whoever takes callers in needs these to know who they are. */
const credentialShape = {
  internalSecret: secretSetting(
    z
      .string()
      .transform(secretsIn)
      .pipe(z.array(z.string().min(32, 'each secret needs 32 characters or more'))),
  )
    .transform(({ value }) => secretsIn(value))
    .optional()
    .meta(SECRET)
    .describe(
      'What the gateway signs principals with, for the services behind it: several with commas between, of which the first signs and all are good.',
    ),
  jwtIssuer: z.string().optional().describe('Who issues JWTs, as in their claim iss. Default: only API keys are good.'),
  jwtAudience: z.string().default('freshet').describe('Whom JWTs must be for, as in their claim aud.'),
  jwtJwksUrl: z.url().optional().describe('Where the issuer’s keys are. Default: .well-known/jwks.json of the issuer.'),
  jwtAlgorithms: list
    .pipe(
      z
        .array(z.enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']))
        .min(1),
    )
    .default(['RS256', 'ES256', 'EdDSA'])
    .describe('Algorithms that JWTs may be signed with.'),
  jwtTenantClaim: z.string().min(1).default('tenant').describe('The claim that names the tenant.'),
  keysUnheardMsMax: z.coerce
    .number()
    .int()
    .min(10_000)
    .max(86_400_000)
    .default(900_000)
    .describe(
      'How long API keys stay good while Kafka is away, ms: revoked ones are not heard of then. After it they are refused with 503; JWTs are not.',
    ),
}

const operatorTenant = z
  .string()
  .regex(TENANT_NAME, TENANT_NAME_IN_WORDS)
  .optional()
  .describe(
    'The operators’ tenant: its keys with the scope admin decide for every tenant, and for what concerns all. Default: nobody does over HTTP.',
  )

const principals = z
  .enum(['configured', 'signed'])
  .default('configured')
  .describe(
    'signed: whoever the gateway says; configured: everybody who reaches the port is the configured tenant, on loopback only.',
  )

const limitShape = {
  requestsPerSecond: amount
    .default(50)
    .describe('Requests of one key or subject, where the key has no limit of its own; twice as many at once.'),
  limitInstances: count
    .max(1_000)
    .default(1)
    .describe(
      'Instances of this role that share its limits and quotas: each admits that part of them. They do not ask each other.',
    ),
}

/** Where pairs are scored. */
const rerankShape = {
  rerankModel: z
    .string()
    .optional()
    .describe(
      'Model that reranks, as NAME, NAME@VERSION or NAME:LABEL of one with the task rerank in the folder of models. Default: none, and rerank is refused.',
    ),
  rerankWorkers: count.max(256).default(1).describe('Threads that rerank, each with its own copy of the model.'),
}

export const queryConfig = platformConfig.extend({
  queryPort: port.optional().describe('Port of the WebSocket. Default: portBase + 80.'),
  queryAdminPort: port.optional().describe('Port of the query service’s metrics and health. Default: portBase + 91.'),
  engine: z.enum(['model', 'hash']).default('model').describe('As for the worker; both must agree.'),
  ...credentialShape,
  ...limitShape,
  ...quotaShape,
  principals,
  embeddedTokensPerMinute: amount
    .default(600_000)
    .describe('Tokens of queries that are embedded for one key or subject, about four bytes each.'),
  ...rerankShape,
  standingQueriesMax: count
    .max(1_000_000)
    .default(10_000)
    .describe(
      'Different standing queries that one process keeps; more are refused with rate_limited. Ten thousand of ten hits take about 160 MiB.',
    ),
  shadowPercent: z.coerce
    .number()
    .min(0)
    .max(100)
    .default(10)
    .describe(
      'Of a hundred searches, so many are also asked of a model that is being rolled out, one at a time and after they were answered, to measure how far both agree.',
    ),
})

export const gatewayConfig = platformConfig.extend({
  ...credentialShape,
  operatorTenant,
  ...limitShape,
  gatewayHost: z
    .string()
    .default('127.0.0.1')
    .describe('Address that the gateway listens on; the only role that may do so beyond loopback.'),
  gatewayPort: port.optional().describe('The public door. Default: portBase + 43.'),
  gatewayAdminPort: port.optional().describe('Port of the gateway’s metrics and health. Default: portBase + 94.'),
  tlsCert: z
    .string()
    .optional()
    .describe('File with the certificate chain, PEM; read again when it changes. Default: plain HTTP.'),
  tlsKey: z.string().optional().describe('File with the private key of tlsCert, PEM.'),
  origins: origins
    .default([])
    .describe(
      'Origins of web pages that may call, with commas between, like https://app.example. Others are refused, but pages of this very door.',
    ),
  console: z.enum(['on', 'off']).default('on').describe('Whether /console, the page for people, is served.'),
  queryUpstreams: origins
    .optional()
    .describe('Instances of the query service, with commas between. Default: the local one.'),
  adminUpstreams: origins
    .optional()
    .describe('Instances of the admin service, with commas between. Default: the local one.'),
  inferenceUpstreams: origins.default([]).describe('Instances of the inference service.'),
  orchestratorUpstreams: origins.default([]).describe('Instances of the orchestrator.'),
  bodyBytesMax: count.default(17 * 1024 * 1024).describe('Bound of a request’s body, bytes.'),
  connectionsMax: count.default(10_000).describe('Open connections; more are refused.'),
  connectionsPerAddressMax: count.default(512).describe('Open connections of one address.'),
  socketsPerSubjectMax: count.default(256).describe('Open WebSockets of one key or subject.'),
  requestTimeoutMs: z.coerce
    .number()
    .int()
    .min(100)
    .max(600_000)
    .default(30_000)
    .describe('Until a request is there whole, ms.'),
  answerTimeoutMs: z.coerce
    .number()
    .int()
    .min(100)
    .max(600_000)
    .default(70_000)
    .describe('Until a service begins its answer, ms; a wait may take 60 s.'),
})

export const inferenceConfig = platformConfig.extend({
  inferencePort: port.optional().describe('Port of inference over HTTP. Default: portBase + 85.'),
  inferenceGrpcPort: port.optional().describe('Port of inference over gRPC. Default: portBase + 86.'),
  inferenceAdminPort: port
    .optional()
    .describe('Port of the inference service’s metrics and health. Default: portBase + 96.'),
  inferenceModels: list
    .pipe(z.array(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,99}$/, 'must be names of models')).min(1))
    .optional()
    .describe('Models that are served, by name, with commas between. Default: that of model.'),
  inferenceThreads: count
    .max(256)
    .optional()
    .describe(
      'Threads of each version of a model, beside the one for what is interactive. Default: one for each core.',
    ),
  inferenceProviders: list
    .pipe(z.array(z.enum(['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'])).min(1))
    .default(['cpu'])
    .describe(
      'Execution providers in the order of preference; without cpu at the end a model that finds no device is not served.',
    ),
  inferenceQueueTextsMax: count
    .default(512)
    .describe('Texts of one priority that wait for a version or are under way; more are refused with 429.'),
  inferenceTextsMax: count.max(2_048).default(2_048).describe('Texts of one request.'),
  inferenceTextBytesMax: count.default(65_536).describe('Bytes of one text.'),
  inferenceTokensPerMinute: amount
    .default(60_000_000)
    .describe(
      'Tokens that are embedded for one key or subject, where the key has no limit of its own; a sixth of it at once.',
    ),
  inferenceFollowMs: z.coerce
    .number()
    .int()
    .min(100)
    .default(2_000)
    .describe('How often the repository of models is looked at for versions and labels, ms.'),
  ...rerankShape,
  principals,
  internalSecret: credentialShape.internalSecret,
  operatorTenant,
})

export const adminConfig = platformConfig.extend({
  adminPort: port.optional().describe('Port of administration over HTTP. Default: portBase + 82.'),
  adminMetricsPort: port.optional().describe('Port of the admin service’s metrics and health. Default: portBase + 95.'),
  engine: z.enum(['model', 'hash']).default('model').describe('As for the worker; both must agree.'),
  internalSecret: credentialShape.internalSecret,
  keysUnheardMsMax: credentialShape.keysUnheardMsMax,
  operatorTenant,
})

/** Of whoever calls from outside: the command line. */
export const callerConfig = platformConfig.extend({
  connectUrl: addressSetting('nothing: Kafka Connect’s REST API knows nobody; keep it on a network of its own')
    .optional()
    .describe('Kafka Connect’s REST API. Default: the local stack’s.'),
  gatewayPort: port.optional().describe('As for the gateway.'),
  url: z
    .url()
    .optional()
    .describe('Where the command line asks, like wss://freshet.example. Default: the local gateway.'),
  urlCa: z
    .string()
    .optional()
    .describe('File with the certificates that the one at url is signed by, PEM. Default: those that Node.js trusts.'),
  apiKey: secretSetting()
    .transform(({ value }) => value)
    .optional()
    .meta(SECRET)
    .describe(
      'What the command line shows at the door. Default: credentials.json in the data folder, which npm start writes.',
    ),
})

/** The names of all. */
export const settings: readonly string[] = [
  ...new Set(
    [workerConfig, queryConfig, gatewayConfig, adminConfig, inferenceConfig, callerConfig].flatMap(({ shape }) =>
      Object.keys(shape),
    ),
  ),
]

export type GatewayConfig = z.infer<typeof gatewayConfig>
export type AdminConfig = z.infer<typeof adminConfig>
export type InferenceConfig = z.infer<typeof inferenceConfig>
type JwtConfig = Pick<GatewayConfig, 'jwtIssuer' | 'jwtAudience' | 'jwtJwksUrl' | 'jwtAlgorithms' | 'jwtTenantClaim'>

/** Of a tenant that has none of its own. */
export const configuredQuota = (
  config: Pick<QueryConfig, 'tenantDocumentsPerSecond' | 'tenantBytesPerSecond' | 'tenantEmbeddedTokensPerMinute'>,
) => ({
  documentsPerSecond: config.tenantDocumentsPerSecond,
  bytesPerSecond: config.tenantBytesPerSecond,
  embeddedTokensPerMinute: config.tenantEmbeddedTokensPerMinute,
})

/** Of a source that has none of its own. */
export const configuredSourceQuota = (
  config: Pick<WorkerConfig, 'sourceDocumentsPerSecond' | 'sourceBytesPerSecond' | 'sourceEmbeddedTokensPerMinute'>,
) => ({
  documentsPerSecond: config.sourceDocumentsPerSecond,
  bytesPerSecond: config.sourceBytesPerSecond,
  embeddedTokensPerMinute: config.sourceEmbeddedTokensPerMinute,
})

/** null: only API keys are good. */
export function jwtSettings({ jwtIssuer, jwtAudience, jwtJwksUrl, jwtAlgorithms, jwtTenantClaim }: JwtConfig) {
  if (jwtIssuer === undefined) return null
  return {
    issuer: jwtIssuer,
    audience: jwtAudience,
    jwksUrl: jwtJwksUrl ?? `${jwtIssuer.replace(/\/$/, '')}/.well-known/jwks.json`,
    algorithms: jwtAlgorithms,
    tenantClaim: jwtTenantClaim,
  }
}

export type PlatformConfig = z.infer<typeof platformConfig>
export type WorkerConfig = z.infer<typeof workerConfig>
export type QueryConfig = z.infer<typeof queryConfig>

export interface ConfigSources {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly flags?: Readonly<Record<string, unknown>>
}

/** Reads and checks; throws `Fatal` with all faults at once, each with its field, its value and where it comes from. */
export function loadConfig<S extends z.ZodObject>(schema: S, { env, flags = {} }: ConfigSources): z.infer<S> {
  const file = env.FRESHET_CONFIG
  const fromFile = file === undefined ? {} : readFile(file)
  const merged: Record<string, unknown> = {}
  const origin = new Map<string, string>()
  for (const name of Object.keys(schema.shape)) {
    const variable = variableOf(name)
    const candidates: [unknown, string][] = [
      [flags[name], `the flag --${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`],
      [env[variable] === '' ? undefined : env[variable], variable],
      ...secretFile(schema, name, env),
      [fromFile[name], file ?? ''],
    ]
    const given = candidates.find(([value]) => value !== undefined)
    if (given === undefined) continue
    const [value] = given
    merged[name] = isSecret(schema, name) && typeof value === 'string' ? Secret.of(value) : value
    origin.set(name, given[1])
  }
  const unknown = Object.keys(fromFile).filter((name) => !settings.includes(name))
  const parsed = schema.safeParse(merged)
  const faults = unknown.map((name) => `${name} in ${file} is not a setting`)
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      const name = String(path[0])
      faults.push(
        `${name} from ${origin.get(name)} is ${isSecret(schema, name) ? 'set' : shown(merged[name])}: ${message}`,
      )
    }
  }
  if (parsed.success && 'kafkaSecurity' in parsed.data)
    faults.push(
      ...credentialFaults(parsed.data as unknown as CredentialConfig, variableOf),
      ...embeddingFaults(parsed.data as unknown as EmbeddingConfig, variableOf),
    )
  if (faults.length > 0 || !parsed.success) throw new Fatal(`the configuration is wrong: ${faults.join('; ')}`)
  return parsed.data
}

/** Without what somebody put into an address by mistake. */
const shown = (value: unknown): string => JSON.stringify(value)?.replace(/\/\/[^@/"]*@/g, '//[secret]@') ?? ''

export const variableOf = (name: string): string =>
  `FRESHET_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** Settings whose value is never shown. Each can be in a file: `FRESHET_NAME_FILE`. */
export const isSecret = (schema: z.ZodObject, name: string): boolean =>
  (schema.shape[name] as z.ZodType | undefined)?.meta()?.secret === true

function secretFile(schema: z.ZodObject, name: string, env: ConfigSources['env']): [unknown, string][] {
  const variable = `${variableOf(name)}_FILE`
  const path = env[variable]
  if (!isSecret(schema, name) || path === undefined || path === '') return []
  try {
    return [[Secret.inFile(path), `${path} (from ${variable})`]]
  } catch (cause) {
    throw new Fatal(`the file ${path} (from ${variable}) cannot be read`, { cause })
  }
}

function readFile(path: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>
  } catch (cause) {
    throw new Fatal(`the configuration file ${path} (from FRESHET_CONFIG) cannot be read`, { cause })
  }
  throw new Fatal(`the configuration file ${path} (from FRESHET_CONFIG) must hold one JSON object`)
}

/** The ports that the roles listen on. */
export function rolePorts({
  portBase,
  workerPort,
  queryPort,
  queryAdminPort,
  gatewayPort,
  gatewayAdminPort,
  adminPort,
  adminMetricsPort,
  inferencePort,
  inferenceGrpcPort,
  inferenceAdminPort,
}: PortSettings): RolePorts {
  return {
    gateway: gatewayPort ?? portBase + 43,
    gatewayAdmin: gatewayAdminPort ?? portBase + 94,
    admin: adminPort ?? portBase + 82,
    adminMetrics: adminMetricsPort ?? portBase + 95,
    worker: workerPort ?? portBase + 90,
    query: queryPort ?? portBase + 80,
    queryAdmin: queryAdminPort ?? portBase + 91,
    inference: inferencePort ?? portBase + 85,
    inferenceGrpc: inferenceGrpcPort ?? portBase + 86,
    inferenceAdmin: inferenceAdminPort ?? portBase + 96,
  }
}

interface PortSettings {
  readonly portBase: number
  readonly workerPort?: number | undefined
  readonly queryPort?: number | undefined
  readonly queryAdminPort?: number | undefined
  readonly gatewayPort?: number | undefined
  readonly gatewayAdminPort?: number | undefined
  readonly adminPort?: number | undefined
  readonly adminMetricsPort?: number | undefined
  readonly inferencePort?: number | undefined
  readonly inferenceGrpcPort?: number | undefined
  readonly inferenceAdminPort?: number | undefined
}

interface RolePorts {
  /** The public door. */
  readonly gateway: number
  /** Metrics and health. */
  readonly gatewayAdmin: number
  /** Administration, behind the gateway. */
  readonly admin: number
  /** Metrics and health. */
  readonly adminMetrics: number
  /** Metrics and health. */
  readonly worker: number
  /** WebSocket. */
  readonly query: number
  /** Metrics and health. */
  readonly queryAdmin: number
  /** HTTP, behind the gateway. */
  readonly inference: number
  readonly inferenceGrpc: number
  /** Metrics and health. */
  readonly inferenceAdmin: number
}

/** Where everything is, with the defaults of the local stack filled in. */
export function addressesOf({
  portBase,
  kafka,
  registry,
  qdrantUrl,
  data,
  tools,
  modelsDir,
}: PlatformConfig): Addresses {
  const toolsDir = resolve(tools ?? `${data}/tools`)
  return {
    kafka: (kafka ?? `127.0.0.1:${portBase + 92}`).split(',').map((each) => each.trim()),
    registry: registry ?? `http://127.0.0.1:${portBase + 81}/apis/ccompat/v7`,
    qdrant: qdrantUrl ?? `http://127.0.0.1:${portBase + 34}`,
    models: resolve(modelsDir ?? `${toolsDir}/models`),
  }
}

export interface Addresses {
  readonly kafka: readonly string[]
  readonly registry: string
  readonly qdrant: string
  readonly models: string
}
