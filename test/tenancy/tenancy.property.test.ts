import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SearchIndex } from '../../connectors/qdrant/search.ts'
import { tenantOf } from '../../processors/document-key.ts'
import { documents } from '../../schemas/topics.ts'
import type { Reader } from '../../search/visibility.ts'
import type { Principal } from '../../services/principal.ts'
import { type Operation, perform } from '../../services/query/operations.ts'
import { clientMessage, OperationError } from '../../services/query/protocol.ts'
import { random } from '../random.ts'
import { Ledger, marksIn } from './ledger.ts'
import { memoryQdrant } from './memory-qdrant.ts'
import { memoryTenants, type TenantsOptions } from './memory-tenants.ts'
import { RandomOperations, tenantNames } from './random-operations.ts'

const seed = 20_261_124

test('in 10,000 random operations of 100 tenants nobody is shown what is not theirs', async () => {
  const { leaks, misasked, done, shown, tenants, misplaced } = await operate(10_000)

  assert.deepEqual(leaks.slice(0, 5), [], `seed ${seed}`)
  assert.deepEqual(misasked.slice(0, 5), [], `seed ${seed}`)
  assert.deepEqual(misplaced, [], `seed ${seed}`)
  assert.equal(tenants, tenantNames.length)
  for (const path of ['search text', 'search vector', 'search like', 'publish', 'wait'])
    assert.ok(done[path]! > 100, `${path} was done ${done[path]} times`)
  for (const what of ['of everyone', 'of a group', 'reason']) assert.ok(shown[what]! > 10, `${what}: ${shown[what]}`)
})

test('the same finds what is shown when an index forgets the groups of documents', async () => {
  const { leaks } = await operate(600, { index: memoryQdrant({ ignores: 'acl' }) })

  assert.ok(leaks.length > 0)
})

test('the same finds what is shown when an index is asked for another tenant', async () => {
  const astray = (reader: Reader): Reader => ({ ...reader, tenant: tenantNames[0]! })
  const through = (index: SearchIndex): SearchIndex => ({
    ...index,
    candidates: (queries) => index.candidates(queries.map((query) => ({ ...query, reader: astray(query.reader) }))),
    contents: (reader, ids) => index.contents(astray(reader), ids),
    manifests: (reader, keys) => index.manifests(astray(reader), keys),
  })

  const { leaks, misasked } = await operate(600, { through })

  assert.ok(leaks.length > 0)
  assert.ok(misasked.length > 0)
})

/** Documents of every tenant first, then random operations; answers with everything that was shown and must not have been. */
async function operate(count: number, options: TenantsOptions = {}) {
  await using world = await memoryTenants(options)
  const { driver, index, ports, partitions } = world
  const ledger = new Ledger()
  const callers = new RandomOperations(random(seed), ledger, { space: ports.serving.of(null).space, partitions })
  const leaks: string[] = []
  const misasked: string[] = []
  const done: Record<string, number> = {}
  const shown: Record<string, number> = { 'of everyone': 0, 'of a group': 0, reason: 0 }
  const tenants = new Set<string>()

  for (let turn = 0; turn < count; turn++) {
    if (turn % 16 === 0) {
      const { tenant, key, value } = callers.rejected()
      const { token } = await world.writePastTheDoor(key, value)
      callers.found(tenant, token)
    }
    if (turn % 80 === 0) await world.settle()
    const by = callers.principal()
    const said = callers.message(by)
    const message = clientMessage.parse(said) as Operation
    const path = pathOf(message)
    done[path] = (done[path] ?? 0) + 1
    tenants.add(by.tenant)
    const before = index.filters.length
    const answer = await answerTo(message, by)
    leaks.push(...ledger.leaksIn(answer, by, said).map((leak) => `operation ${turn}, ${path}: ${leak}`))
    for (const filter of index.filters.slice(before))
      if (JSON.stringify(filter.must?.[0]) !== JSON.stringify(isTenant(by.tenant)))
        misasked.push(`operation ${turn}, ${path}`)
    note(answer)
  }
  await world.settle()
  const stray = (key: string, what: unknown) =>
    marksIn(what).filter((mark) => ledger.leaksIn(mark, whole(tenantOf(key)), '').length > 0)
  const misplaced = [
    ...(await driver.records(documents)).flatMap(({ key, value }) => stray(key, value)),
    ...index.payloads().flatMap((payload) => ('key' in payload ? stray(String(payload.key), payload) : [])),
    ...index.payloads().filter(({ key, tenant }) => key !== undefined && tenantOf(String(key)) !== tenant),
  ]
  return { leaks, misasked, misplaced, done, shown, tenants: tenants.size }

  async function answerTo(message: Operation, by: Principal): Promise<object> {
    try {
      const answer = await perform(message, by, ports, { signal: new AbortController().signal })
      if ('token' in answer) callers.found(by.tenant, String(answer.token))
      if (message.type === 'search' && typeof message.query === 'string')
        for (const vector of await ports.serving.of(null).engine.embed([message.query], { as: 'query' }))
          callers.foundVector(vector)
      return answer
    } catch (error) {
      if (!(error instanceof OperationError)) throw error
      return { code: error.code, message: error.message }
    }
  }

  function note(answer: { hits?: unknown; documents?: unknown }): void {
    for (const hit of (answer.hits ?? []) as object[]) {
      const isOfGroup = marksIn(hit).some((mark) => !ledger.isForEveryone(mark))
      shown[isOfGroup ? 'of a group' : 'of everyone']!++
    }
    if (marksIn(answer.documents ?? []).length > 0) shown.reason!++
  }
}

const pathOf = ({ type, ...message }: Operation): string => {
  if (!('query' in message)) return type
  const { query } = message
  return `search ${typeof query === 'string' ? 'text' : 'like' in query ? 'like' : 'vector'}`
}

const whole = (tenant: string): Reader => ({ tenant, groups: ['*'] })

/** As the connector says it. */
const isTenant = (value: string) => ({
  conditionOneOf: { case: 'field', value: { key: 'tenant', match: { matchValue: { case: 'keyword', value } } } },
})
