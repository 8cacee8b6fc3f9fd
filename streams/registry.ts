import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { json } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { COMPATIBILITY, SchemaRegistry as ConfluentRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { Fatal, Reject, Retry, reasonOf } from './errors.ts'
import type { AvroSchema } from './topic.ts'

/** What the serde needs of a schema registry. */
export interface SchemaRegistry {
  /** The id of the schema under the subject. Rejects with `Fatal` when it is not compatible with the registered ones, `Retry` when out of reach. */
  register(subject: string, schema: AvroSchema): Promise<number>
  /** Rejects with `Reject` when there is no such schema, or it is not Avro; `Retry` when out of reach. */
  schema(id: number): Promise<AvroSchema>
  /** As it was registered, of whichever kind. Rejects as `schema` does. */
  schemaText(id: number): Promise<SchemaText>
}

export interface SchemaText {
  /** AVRO, JSON or PROTOBUF. */
  readonly kind: string
  readonly text: string
  /** Names of the schemas that it refers to. */
  readonly references: readonly string[]
}

/** How a registry that is protected is reached. What is a function is asked for at each request, so it may change. */
export interface RegistryAccess {
  /** The value of the header `authorization`; null: as nobody. */
  authorization(): string | null
  /** The certificates that the registry's is signed by, PEM; null: those that Node.js trusts. */
  ca(): string | null
  /** What to look at when the registry refuses us. */
  readonly how: string
}

const ANYBODY: RegistryAccess = { authorization: () => null, ca: () => null, how: 'we came as nobody' }

/** A registry with Confluent's HTTP API (Apicurio's `ccompat`, Confluent's, Karapace). Schemas once read are kept. */
export function confluentRegistry(url: string, access: RegistryAccess = ANYBODY): SchemaRegistry {
  const client = new ConfluentRegistry({
    host: url,
    clientId: 'freshet',
    retry: { retries: 2, maxRetryTimeInSecs: 2 },
    middlewares: [authorized(access)],
    ...(url.startsWith('https:') && { agent: trusting(access) }),
  })
  const unreachable = (what: string, cause: unknown) => {
    const status = statusOf(cause)
    const why = status === 401 || status === 403 ? `, but refused us (${status}); ${access.how}` : ''
    return new Retry(`the schema registry at ${url} did not ${what}${why}`, { cause, state: 'registry-unreachable' })
  }
  return {
    async register(subject, schema) {
      for (let attempt = 1; ; attempt++) {
        try {
          const { id } = await client.register(
            { type: SchemaType.AVRO, schema: JSON.stringify(schema) },
            { subject, compatibility: COMPATIBILITY.BACKWARD },
          )
          return id
        } catch (cause) {
          // Another process is registering a new subject: it is there before its compatibility is, and only one can set that.
          const raced = statusOf(cause) === 409 ? /already exists/i.test(reasonOf(cause)) : isOtherCompatibility(cause)
          if (raced && attempt < REGISTER_ATTEMPTS_MAX) {
            await delay(REGISTER_DELAY_MS)
            continue
          }
          if (statusOf(cause) === 409 && !raced) {
            throw new Fatal(
              `the schema of ${subject} is not backward compatible with the one in the registry; give new fields a default, and keep the types of old ones`,
              { cause },
            )
          }
          if (isOtherCompatibility(cause)) {
            throw new Fatal(`the registry has another compatibility for ${subject} than BACKWARD; set it back`, {
              cause,
            })
          }
          throw unreachable(`register ${subject}`, cause)
        }
      }
    },
    async schema(id) {
      try {
        const schema = await client.getSchema(id)
        if ('toJSON' in schema && typeof schema.toJSON === 'function') return schema.toJSON() as AvroSchema
      } catch (cause) {
        if (statusOf(cause) === 404)
          throw new Reject(`value: schema id ${id} is not in the registry at ${url}; register the schema first`, {
            cause,
          })
        throw unreachable(`answer for schema ${id}`, cause)
      }
      throw new Reject(`value: schema ${id} is not Avro; write Avro`)
    },
    async schemaText(id) {
      let answer: { readonly status: number; readonly body: unknown }
      try {
        answer = await askRegistry(`${url}/schemas/ids/${id}`, access, SCHEMA_MS_MAX)
      } catch (cause) {
        throw unreachable(`answer for schema ${id}`, cause)
      }
      if (answer.status === 404)
        throw new Reject(`schema id ${id} is not in the registry at ${url}; register the schema first`)
      if (answer.status !== 200) throw unreachable(`answer for schema ${id}`, answer)
      const { schema, schemaType, references } = answer.body as {
        schema: string
        schemaType?: string
        references?: readonly { name: string }[]
      }
      return { kind: schemaType ?? 'AVRO', text: schema, references: (references ?? []).map(({ name }) => name) }
    },
  }
}

type Middleware = NonNullable<ConstructorParameters<typeof ConfluentRegistry>[0]['middlewares']>[number]

const authorized =
  ({ authorization }: RegistryAccess): Middleware =>
  () => ({
    async prepareRequest(next) {
      const request = await next()
      const value = authorization()
      return value === null ? request : request.enhance({ headers: { authorization: value } })
    },
  })

/** Trusts at each connection what it is to trust then. */
function trusting({ ca }: RegistryAccess): https.Agent {
  const agent = new https.Agent({ keepAlive: true })
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (options, callback) => {
    const trusted = ca()
    return connect(trusted === null ? options : { ...options, ca: trusted }, callback)
  }
  return agent
}

/** What the registry says at a path, with our credentials; for whoever looks at more than schemas. */
export async function askRegistry(
  url: string,
  access: RegistryAccess,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const authorization = access.authorization()
  const ca = access.ca()
  const { request } = url.startsWith('https:') ? https : http
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const asked = request(url, {
    headers: { accept: 'application/json', ...(authorization !== null && { authorization }) },
    ...(ca !== null && { ca }),
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
  })
  asked.on('response', resolve).on('error', reject).end()
  const response = await promise
  return { status: response.statusCode ?? 0, body: await json(response).catch(() => null) }
}

const SCHEMA_MS_MAX = 5_000
const REGISTER_ATTEMPTS_MAX = 10
const REGISTER_DELAY_MS = 100

const isOtherCompatibility = (error: unknown): boolean =>
  statusOf(error) === undefined && /compatibility/i.test(reasonOf(error))

function statusOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'status' in error && typeof error.status === 'number'
    ? error.status
    : undefined
}

/** A registry inside the process, for tests and simulations. */
export function localRegistry(): SchemaRegistry {
  const schemas: AvroSchema[] = []
  const ids = new Map<string, number>()
  const registry: SchemaRegistry = {
    async register(_subject, schema) {
      const text = JSON.stringify(schema)
      let id = ids.get(text)
      if (id === undefined) {
        id = schemas.push(schema)
        ids.set(text, id)
      }
      return id
    },
    async schema(id) {
      const schema = schemas[id - 1]
      if (schema === undefined)
        throw new Reject(`value: schema id ${id} is not in the registry; register the schema first`)
      return schema
    },
    schemaText: async (id) => ({ kind: 'AVRO', text: JSON.stringify(await registry.schema(id)), references: [] }),
  }
  return registry
}
