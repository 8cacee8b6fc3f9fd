import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routes, SOCKET_SCOPES } from '../gateway/routes.ts'
import { noOwnLimits, type Principal, type Scope, scopes } from '../principal.ts'
import { ways } from './http.ts'
import { needed, type Operation, type OperationPorts, perform } from './operations.ts'
import { clientMessage, type SubscribeMessage } from './protocol.ts'
import { type SubscribePorts, subscribe } from './standing/subscribing.ts'

type Declared = keyof typeof needed

const samples: Readonly<Record<Declared, object>> = {
  subscribe: { query: 'a' },
  search: { query: 'a' },
  publish: { documents: [{ id: 'a', text: 'A text.' }] },
  wait: { after: 'a token' },
}

const everySet: readonly (readonly Scope[])[] = Array.from({ length: 2 ** scopes.length }, (_, bits) =>
  scopes.filter((_scope, i) => (bits >> i) & 1),
)

test('every set of scopes opens the operations that are declared for it, and no other touches anything', async () => {
  const types = clientMessage.options.map(({ shape }) => shape.type.value)
  const outcomes: Record<string, string> = {}

  for (const type of types.filter((each): each is Declared => each in needed))
    for (const own of everySet) {
      const message = clientMessage.parse({ type, id: '1', ...samples[type] }) as Operation | SubscribeMessage
      outcomes[`${type} with ${own.join(' ')}`] = await outcomeOf(message, principalWith(own))
    }

  for (const [type, scopesOf] of Object.entries(needed))
    for (const own of everySet) {
      const expected = scopesOf.some((scope) => own.includes(scope)) ? 'begun' : 'forbidden'
      assert.equal(outcomes[`${type} with ${own.join(' ')}`], expected, `${type} with ${own.join(' ')}`)
    }
  // These do nothing for anybody but the connection itself.
  assert.deepEqual(
    types.filter((type) => !(type in needed)),
    ['cancel', 'ping', 'init'],
  )
})

test('the door and the service declare the same operations, with the same scopes', () => {
  const atTheDoor = routes.filter(({ to }) => to === 'query').map(({ method, path, scopes }) => [method, path, scopes])

  const here = ways.map(({ method, path, needs }) => [method, path, needed[needs]])

  assert.deepEqual(atTheDoor.toSorted(), here.toSorted())
  const onSockets = Object.values(needed).flat()
  assert.deepEqual(
    onSockets.filter((scope) => !SOCKET_SCOPES.includes(scope)),
    [],
  )
})

/** `begun`: something of the service was asked for. */
async function outcomeOf(message: Operation | SubscribeMessage, principal: Principal): Promise<string> {
  const touched = new Error('begun')
  const untouchable = new Proxy({} as OperationPorts, {
    get() {
      throw touched
    },
  })
  // Ports are taken apart before any of them is asked.
  const ports = new Proxy({} as OperationPorts & SubscribePorts, { get: () => untouchable })
  const { signal } = new AbortController()
  try {
    await (message.type === 'subscribe'
      ? subscribe(message, principal, ports, signal, async () => {})
      : perform(message, principal, ports, { signal }))
    return 'done'
  } catch (error) {
    return error === touched ? 'begun' : (error as { code: string }).code
  }
}

const principalWith = (own: readonly Scope[]): Principal => ({
  tenant: 'acme',
  subject: 'key:a',
  scopes: own,
  groups: ['*'],
  expiresAt: null,
  limits: noOwnLimits,
})
