import assert from 'node:assert/strict'
import { test } from 'node:test'
import { virtualClock } from '../../streams/clock.ts'
import { memoryTenants } from '../../test/tenancy/memory-tenants.ts'
import { wholeTenant } from '../principal.ts'
import { type Operation, perform } from './operations.ts'
import { clientMessage, type SubscribeMessage } from './protocol.ts'
import { StandingQueries } from './standing/standing-queries.ts'
import { subscribe } from './standing/subscribing.ts'

const by = wholeTenant('acme', 'key:a')
const refusal = {
  code: 'bad_request',
  message:
    /^filter\.colour: is not declared, .* like \{"colour":"keyword"\}; declared are acl \(keyword\), .*\. filter\.year: asks for text/,
}

async function world() {
  const own = await memoryTenants()
  const { signal } = new AbortController()
  const ask = (message: object) =>
    perform(clientMessage.parse({ id: '1', ...message }) as Operation, by, own.ports, { signal })
  const publish = (attributes: object, more: object = {}) =>
    ask({ type: 'publish', documents: [{ id: 'd', text: 'hello', attributes }], ...more }) as Promise<{ token: string }>
  return { own, ask, publish }
}

test('a filter of attributes that are not declared, or have another type, is refused by a search and by a standing query', async () => {
  const { own, ask } = await world()
  await using _ = own
  const clock = virtualClock()
  const standing = new StandingQueries({
    ...own.ports,
    serving: { now: () => own.ports.serving.of(by), sync: own.ports.serving.sync },
    engine: own.ports.serving.of(by).engine,
    clock,
    standingMax: 1,
    evaluated() {},
  })
  const filter = { colour: 'blue', year: '2024' }
  // One that is not refused ends with what it is told first.
  const stop = new AbortController()
  const following = subscribe(
    clientMessage.parse({ type: 'subscribe', id: '1', query: 'hello', filter }) as SubscribeMessage,
    by,
    { standing, clock, quotas: own.ports.quotas },
    stop.signal,
    async () => stop.abort(),
  )

  await assert.rejects(following, refusal)
  await assert.rejects(ask({ type: 'search', query: 'hello', filter }), refusal)
  assert.equal(standing.size, 0)
  assert.deepEqual(own.index.filters, [])
  standing.close()
})

test('a document whose attribute has another type is refused at our door, with both types, and nothing is written', async () => {
  const { own, publish } = await world()
  await using _ = own

  await assert.rejects(publish({ year: '2024' }), {
    code: 'rejected',
    message:
      /^documents\.0 \("d"\): attributes\.year: is text \("2024"\) and year is declared as integer; send a whole/,
  })

  const ends = await own.driver.broker.admin.offsets('documents')
  assert.deepEqual(
    ends.map(({ end }) => end),
    Array(own.partitions).fill(0),
  )
})

test('a publish says which attributes nothing can be filtered by, and of the others nothing', async () => {
  const { own, publish } = await world()
  await using _ = own
  const many = Object.fromEntries(Array.from({ length: 18 }, (_each, i) => [`b${String(i).padStart(2, '0')}`, 1]))

  const fine = await publish({ year: 2024 })
  const told = await publish({ colour: 'blue', year: 2024 })
  const toldOfMany = (await publish(many)) as { token: string; notices?: string[] }

  assert.deepEqual(Object.keys(fine), ['token'])
  assert.deepEqual(told, {
    token: told.token,
    notices: ['attributes.colour: stored, not declared: nothing can be filtered by it'],
  })
  assert.deepEqual([toldOfMany.notices?.length, toldOfMany.notices?.at(-1)], [17, 'and 2 attributes more'])
})

test('a document of before the declaration stays and is found, and no value of the declared type finds it', async () => {
  const { own, ask } = await world()
  await using _ = own
  const former = { title: null, text: 'hello', url: null, language: null, cleaning: 'c1', acl: null }
  await own.writePastTheDoor('acme/old', { ...former, attributes: { year: '2024' } })
  await own.writePastTheDoor('acme/new', { ...former, attributes: { year: 2024 } })
  await own.settle()
  const found = async (filter: object) =>
    ((await ask({ type: 'search', query: 'hello', filter })) as { hits: { documentId: string }[] }).hits
      .map(({ documentId }) => documentId)
      .sort()

  assert.deepEqual(await found({}), ['new', 'old'])
  assert.deepEqual(await found({ year: 2024 }), ['new'])
  assert.deepEqual(await found({ year: { gte: 0 } }), ['new'])
  assert.deepEqual(await found({ year: { not: 2024 } }), ['old'])
  assert.deepEqual(await found({ year: { exists: true } }), ['new', 'old'])
})
