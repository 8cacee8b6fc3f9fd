import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { catalogue } from '../schemas/topics.ts'
import { adminRoutes } from '../services/admin/routes.ts'
import { routes, SOCKET_PATH } from '../services/gateway/routes.ts'
import {
  bulkAnswer,
  diff,
  failure,
  publishAnswer,
  searchAnswer,
  serverMessages,
  snapshot,
  standingNotice,
  waitAnswer,
} from '../services/query/answers.ts'
import { EVENTS_PATH } from '../services/query/http.ts'
import { statuses } from '../services/query/http-answer.ts'
import { BULK_PATH, DOCUMENTS_PATH, document, operations, wish } from '../services/query/http-message.ts'
import type { Operation } from '../services/query/operations.ts'
import { clientMessage, errorCodes, publishItem, SUBPROTOCOL } from '../services/query/protocol.ts'

/** The interfaces for machines, from the schemas that the services run by: OpenAPI of HTTP, AsyncAPI of WebSocket and topics. */

type Json = Record<string, unknown>

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
  version: string
}
const servers = { host: '127.0.0.1:18043', about: 'The gateway of npm start; with TLS where it has a certificate.' }

const schemaOf = (schema: z.ZodType, io: 'input' | 'output' = 'output'): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any' })
  return rest
}

/** What a client may send, `type` and `id` aside. */
const bodyOf = (type: Operation['type']): Json => {
  const message = clientMessage.options.find(({ shape }) => shape.type.value === type)!
  return schemaOf((message as z.ZodObject).omit({ type: true, id: true }), 'input')
}

const answers: Readonly<Record<Operation['type'], z.ZodType>> = {
  search: searchAnswer,
  publish: publishAnswer,
  wait: waitAnswer,
}

export function openApi(): Json {
  const paths: Record<string, Json> = {}
  const add = (method: string, path: string, operation: Json): void => {
    const declared = routes.find((route) => route.method === method && route.path === path)
    if (declared === undefined) throw new Error(`${method} ${path} is no way in`)
    const scopes = declared.scopes.join(' or ')
    const place = path.replace(/:(\w+)/g, '{$1}').replace('*', '{id}')
    paths[place] ??= {}
    paths[place][method.toLowerCase()] = {
      description: `Needs the scope ${scopes}${declared.forOperators ? ', of a key of the operators’ tenant' : ''}.`,
      ...operation,
    }
  }
  for (const [path, type] of Object.entries(operations))
    add('POST', path, {
      operationId: type,
      ...(type !== 'publish' && { parameters: [afterHeader, preferHeader] }),
      requestBody: { required: true, content: { 'application/json': { schema: bodyOf(type) } } },
      responses: { 200: { description: 'Done.', ...jsonOf(schemaOf(answers[type])) }, ...failures },
    })
  add('POST', BULK_PATH, {
    operationId: 'bulk',
    parameters: parametersOfWish(),
    requestBody: {
      required: true,
      description: 'One on each line: a document, or that one is to be deleted. Written as they come, in their order.',
      content: { 'application/x-ndjson': { schema: schemaOf(publishItem, 'input') } },
    },
    responses: {
      200: { description: 'To the end; lines that were not good are told.', ...jsonOf(schemaOf(bulkAnswer)) },
      ...failures,
    },
  })
  const ofOne = { parameters: [idInPath, ...parametersOfWish()] }
  const done = { 200: { description: 'Done.', ...jsonOf(schemaOf(publishAnswer)) }, ...failures }
  add('PUT', `${DOCUMENTS_PATH}*`, {
    operationId: 'put',
    ...ofOne,
    requestBody: { required: true, content: { 'application/json': { schema: schemaOf(document, 'input') } } },
    responses: done,
  })
  add('DELETE', `${DOCUMENTS_PATH}*`, { operationId: 'delete', ...ofOne, responses: done })
  add('GET', EVENTS_PATH, {
    operationId: 'subscribe',
    parameters: [...parametersOfSubscribe(), lastEventId],
    responses: {
      200: {
        description:
          'Server-sent events: the event is the type of its data, the id `epoch:seq`. Ends with `error` or with the connection.',
        content: {
          'text/event-stream': {
            schema: { oneOf: [snapshot, diff, standingNotice, failure].map((each) => schemaOf(each)) },
          },
        },
      },
      ...failures,
    },
  })
  for (const { method, path, body, forOperators: _ } of adminRoutes)
    add(method, path, {
      operationId: `${method.toLowerCase()}-${path
        .split('/')
        .filter((part) => /^[a-z]/.test(part))
        .slice(1)
        .join('-')}`,
      ...(path.includes(':') && {
        parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
      }),
      ...(body !== null && {
        requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
      }),
      responses: { '2XX': { description: 'Done.', ...jsonOf({ type: 'object' }) }, ...failures },
    })
  return {
    openapi: '3.1.1',
    info: { title: 'Freshet', version, description: 'HTTP of the gateway. For people: docs/protocol.md.' },
    servers: [{ url: `http://${servers.host}`, description: servers.about }],
    security: [{ apiKey: [] }, { bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key or a JWT.' },
      },
      schemas: { Problem: problem },
    },
  }
}

const jsonOf = (schema: Json): Json => ({ content: { 'application/json': { schema } } })

/** RFC 9457. */
const problem: Json = {
  type: 'object',
  required: ['status', 'code', 'detail'],
  properties: {
    type: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: `Of the service: ${errorCodes.join(', ')}; the gateway has some of its own.` },
    detail: { type: 'string', description: 'For people: the field, what it is, what to do.' },
    retryable: { type: 'boolean' },
  },
}

const failures: Json = Object.fromEntries(
  [...new Set(Object.values(statuses))]
    .filter((status) => status !== 499)
    .sort()
    .map((status) => [
      status,
      {
        description: Object.entries(statuses)
          .filter(([, each]) => each === status)
          .map(([code]) => code)
          .join(', '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
)

const text: Json = { type: 'string' }
const idInPath = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'Percent-encoded; a slash in it may stand as it is.',
  schema: text,
}
const afterHeader = {
  name: 'x-freshet-after',
  in: 'header',
  description: 'A token: reads what the index has then. In place of the field of the body.',
  schema: text,
}
const preferHeader = {
  name: 'Prefer',
  in: 'header',
  description: '`wait=2`: for at most so many seconds.',
  schema: text,
}

const lastEventId = {
  name: 'Last-Event-ID',
  in: 'header',
  description: 'Goes on after this event.',
  schema: { type: 'string' },
}

const parametersOfWish = (): Json[] =>
  Object.entries((schemaOf(wish, 'input') as { properties: Record<string, Json> }).properties).map(
    ([name, schema]) => ({
      name,
      in: 'query',
      schema,
    }),
  )

/** Text as it is, everything else as JSON. */
function parametersOfSubscribe(): Json[] {
  const message = clientMessage.options.find(({ shape }) => shape.type.value === 'subscribe') as z.ZodObject
  const { properties } = schemaOf(message.omit({ type: true, id: true, resume: true, query: true }), 'input') as {
    properties: Record<string, Json>
  }
  return [
    { name: 'query', in: 'query', description: 'A text; or like.', schema: text },
    { name: 'like', in: 'query', description: 'A document’s key, in place of a query.', schema: text },
    ...Object.entries(properties).map(([name, schema]) =>
      schema.type === 'string' || name === 'language' || name === 'groupBy'
        ? { name, in: 'query', schema }
        : { name, in: 'query', content: { 'application/json': { schema } } },
    ),
  ]
}

export function asyncApi(): Json {
  const received = clientMessage.options.map((message) => ({
    name: message.shape.type.value,
    payload: schemaOf(message, 'input'),
  }))
  const sent = serverMessages.map((message, i) => ({
    name: nameOf(message, serverMessages.slice(0, i)),
    payload: schemaOf(message),
  }))
  const topics = Object.fromEntries(
    catalogue.map(({ name, about, schema }) => [
      name,
      {
        address: name,
        description: about,
        servers: [{ $ref: '#/servers/kafka' }],
        messages: {
          record: {
            contentType: 'application/vnd.apache.avro',
            payload: { schemaFormat: 'application/vnd.apache.avro;version=1.9.0', schema },
          },
        },
      },
    ]),
  )
  return {
    asyncapi: '3.1.0',
    info: { title: 'Freshet', version, description: 'The WebSocket and the topics. For people: docs/protocol.md.' },
    servers: {
      gateway: { host: servers.host, protocol: 'ws', description: servers.about },
      kafka: { host: '127.0.0.1:18092', protocol: 'kafka', description: 'The Kafka of npm start.' },
    },
    channels: {
      socket: {
        address: SOCKET_PATH,
        description: `Subprotocol ${SUBPROTOCOL}: one JSON object as text for each message.`,
        servers: [{ $ref: '#/servers/gateway' }],
        messages: Object.fromEntries([
          ...received.map(({ name, payload }) => [`to.${name}`, { name, payload }]),
          ...sent.map(({ name, payload }) => [`from.${name}`, { name, payload }]),
        ]),
      },
      ...topics,
    },
    operations: {
      ask: {
        action: 'receive',
        channel: { $ref: '#/channels/socket' },
        messages: received.map(({ name }) => ({ $ref: `#/channels/socket/messages/to.${name}` })),
      },
      answer: {
        action: 'send',
        channel: { $ref: '#/channels/socket' },
        messages: sent.map(({ name }) => ({ $ref: `#/channels/socket/messages/from.${name}` })),
      },
    },
  }
}

/** Its type; where another has the same, with the code too. */
function nameOf(message: (typeof serverMessages)[number], before: readonly (typeof serverMessages)[number][]): string {
  const type = message.shape.type.value
  if (!before.some(({ shape }) => shape.type.value === type)) return type
  const { code } = message.shape as { code?: z.ZodLiteral<string> }
  return `${type}.${code?.value}`
}

export const descriptions: readonly { readonly name: string; readonly make: () => Json }[] = [
  { name: 'openapi.json', make: openApi },
  { name: 'asyncapi.json', make: asyncApi },
]

export const textOf = (description: Json): string => `${JSON.stringify(description, null, 2)}\n`
