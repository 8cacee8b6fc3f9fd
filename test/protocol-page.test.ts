import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { WebSocket } from 'ws'
import { localAttributes } from '../cli/local-attributes.ts'
import { hashEngine } from '../engine/hash-engine.ts'
import { documents } from '../schemas/topics.ts'
import { declarationIn } from '../search/attributes.ts'
import { wholeTenant } from '../services/principal.ts'
import { serverMessage } from '../services/query/answers.ts'
import type { ConnectionPorts } from '../services/query/connection.ts'
import { serve } from '../services/query/connection.ts'
import { unlimited } from '../services/query/operations.ts'
import { clientMessage, errorCodes, LIMITS } from '../services/query/protocol.ts'
import { StandingQueries } from '../services/query/standing/standing-queries.ts'
import { systemClock } from '../streams/clock.ts'
import { Retry } from '../streams/errors.ts'
import { localRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs/protocol.md'), 'utf8')
const examples = (arrow: string): Message[] =>
  [...page.matchAll(new RegExp(`^${arrow} (.*)$`, 'gm'))].map(([, json = '']) => JSON.parse(json) as Message)

/** What its examples filter by. */
const declaration = /^FRESHET_ATTRIBUTES='(.*)'$/m.exec(page)?.[1]
const attributes = declarationIn(declaration).declared

interface Message {
  readonly type: string
  readonly code?: string
  readonly [field: string]: unknown
}

test('every client message in the protocol’s page is one that the service takes', () => {
  const messages = examples('→')

  const refused = messages.filter((message) => !clientMessage.safeParse(message).success)

  assert.deepEqual(refused, [])
  assert.deepEqual([...new Set(messages.map(({ type }) => type))].sort(), [...types()].sort())
})

test('every server message in the protocol’s page has the fields that the service sends', async () => {
  const sent = await answersTo([
    ...examples('→'),
    { type: 'search', id: 'faulty', query: 'x', k: 1_000 },
    { type: 'search', id: 'unavailable', query: 'no index' },
  ])
  const shapes = new Set(sent.map(shapeOf))

  const unknown = examples('←').filter((message) => !shapes.has(shapeOf(message)))
  const undeclared = [...sent, ...examples('←')].filter((message) => !serverMessage.safeParse(message).success)

  assert.deepEqual(unknown, [])
  assert.deepEqual(undeclared, [])
  assert.deepEqual(examples('←').find(({ type }) => type === 'ready')?.limits, LIMITS)
  assert.ok(shapes.size > 5)
})

test('the page’s examples are filtered by what npm start declares, and say of one attribute that it is not', () => {
  const published = examples('→').flatMap(({ documents: items }) => (items ?? []) as { attributes?: object }[])

  const names = published.flatMap((item) => Object.keys(item.attributes ?? {}))

  assert.equal(declaration, localAttributes)
  assert.deepEqual(
    names.filter((name) => !attributes.has(name)),
    ['colour'],
  )
})

test('the codes of errors and of closed connections in the page are those of the code', () => {
  const source = (name: string) => readFileSync(join(root, 'services/query', name), 'utf8')
  const closed = [
    ...['connection.ts', 'pulse.ts', 'identity.ts', 'query.ts', 'leaving.ts', 'unread.ts']
      .map(source)
      .join('\n')
      .matchAll(/\b(?:close|end)\((\d{4}),/g),
  ]

  const inPage = [...page.matchAll(/^\| `(\w+)` \| (?:yes|no) \|/gm)].map(([, code]) => code)
  const closedInPage = [...page.matchAll(/^\| (\d{4}(?:, \d{4})*) \|/gm)].flatMap(([, codes = '']) => codes.split(', '))

  assert.deepEqual(inPage.sort(), [...errorCodes].sort())
  // These are the WebSocket library's own.
  assert.deepEqual(closedInPage, [...new Set([...closed.map(([, code]) => code), '1002', '1007', '1009'])].sort())
})

const types = (): string[] => clientMessage.options.map(({ shape }) => [...shape.type.values][0] as string)

/** What the service answers, with everything behind it played. */
async function answersTo(messages: readonly object[]): Promise<Message[]> {
  const sent: Message[] = []
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1,
    readyState: 1,
    bufferedAmount: 0,
    send: (text: string) => sent.push(JSON.parse(text) as Message),
    close() {},
    ping() {},
    terminate() {},
  })
  const behind = await ports()
  serve(socket as unknown as WebSocket, wholeTenant('default', 'test'), behind)
  for (const message of messages) {
    socket.emit('message', Buffer.from(JSON.stringify(message)), false)
    for (let turn = 0; turn < 20; turn++) await setImmediate()
  }
  socket.emit('close')
  ;(behind.standing as StandingQueries).close()
  return sent
}

async function ports(): Promise<ConnectionPorts> {
  const scope = { prefix: '', space: 'es' }
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([documents])
  const asOf = { token: 'e30', staleMs: 0, complete: true, ingestStaleMs: 0 }
  const fence = { epoch: 1, offset: 0, derivation: 0 }
  const key = 'default/returns'
  const hit = { id: 'a', score: 1, key, fence: '1:0:0', ordinal: 0, start: 0, end: 1, text: 'a' }
  const outcome = { partition: 0, offset: 0, outcome: 'indexed', reason: null }
  let searches = 0
  const engine = hashEngine()
  const serving = {
    space: engine.space.id,
    collection: 'es',
    engine,
    index: {
      async candidates() {
        if (++searches > searchesAnswered) throw new Retry('away')
        return [{ dense: [hit], keyword: [] }]
      },
      contents: async () => new Map([['a', { ...hit, title: null, url: null, attributes: {} }]]),
      manifests: async () => new Map([[key, { key, fence, content: fence, deleted: false, chunks: 1 }]]),
      centre: async () => new Float32Array(64).fill(0.1),
    },
  }
  return {
    serving: { of: () => serving, sync: async () => {} },
    freshness: {
      asOf: () => asOf,
      after: async () => [outcome],
      reached: async () => {},
      within: async () => {},
      wrote: () => ({ epoch: 1, documents: {} }),
    },
    producer: { send: async () => [] },
    platform: { serde, scope, epochs: { refusal: null } },
    partitions: 4,
    attributes,
    log: { error() {}, debug() {} },
    ended() {},
    identify: null,
    take: () => 0,
    quotas: unlimited,
    clock: systemClock,
    standing: standingIn(serving, asOf),
  } as unknown as ConnectionPorts
}

/** A standing query searches, as often as it likes. */
function standingIn(serving: object, asOf: object): StandingQueries {
  return new StandingQueries({
    engine: hashEngine(),
    serving: { now: () => serving, sync: async () => {} },
    freshness: { asOf: () => asOf },
    attributes,
    clock: systemClock,
    standingMax: 10,
    evaluated() {},
  } as unknown as ConstructorParameters<typeof StandingQueries>[0])
}

/** Of the examples only those reach the index that name no vector of another space. */
const searchesAnswered = examples('→').filter(
  ({ type, query }) => type === 'search' && !(typeof query === 'object' && query !== null && 'vector' in query),
).length

/** The fields of a message, at every depth, in one order. What is in `attributes` is the documents' own, `limits` is compared whole. */
function shapeOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.length === 0 ? '' : shapeOf(value[0])}]`
  if (typeof value !== 'object' || value === null) return '.'
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, each]) => `${name}${name === 'type' ? `=${each}` : name === 'attributes' ? '' : shapeOf(each)}`).join(' ')}}`
}
