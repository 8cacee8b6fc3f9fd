import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Principal, wholeTenant } from '../../services/principal.ts'
import { type Operation, perform } from '../../services/query/operations.ts'
import { clientMessage } from '../../services/query/protocol.ts'
import { memoryTenants } from './memory-tenants.ts'

const signal = new AbortController().signal
const of = (groups: string[], subject = 'key:a'): Principal => ({ ...wholeTenant('acme', subject), groups })
const message = (fields: object): Operation => clientMessage.parse({ id: '1', ...fields }) as Operation
const search = message({ type: 'search', query: 'salaries of herons' })
const publish = (id: string, acl?: string[] | null) =>
  message({ type: 'publish', documents: [{ id, text: `The salaries of ${id}.`, acl }] })

test('a document is found by members of its groups, by those of every group, and by nobody else', async () => {
  await using world = await memoryTenants()
  await perform(publish('herons', ['hr', 'board']), of([]), world.ports, { signal })
  await perform(publish('otters'), of([]), world.ports, { signal })
  await world.settle()

  const seen = async (by: Principal) => {
    const { hits } = (await perform(search, by, world.ports, { signal })) as { hits: { documentId: string }[] }
    return hits.map(({ documentId }) => documentId).sort()
  }

  assert.deepEqual(await seen(of(['hr'])), ['herons', 'otters'])
  assert.deepEqual(await seen(of(['*'])), ['herons', 'otters'])
  assert.deepEqual(await seen(of(['sales'])), ['otters'])
  assert.deepEqual(await seen(of([])), ['otters'])
  assert.deepEqual(await seen({ ...of(['*']), tenant: 'zenith' }), [])
})

test('a document that is shown to fewer from now on is shown to no more, and nothing is embedded for it', async () => {
  await using world = await memoryTenants()
  await perform(publish('herons'), of([]), world.ports, { signal })
  await world.settle()
  const { embedded } = world.counts

  await perform(publish('herons', ['hr']), of([]), world.ports, { signal })
  await world.settle()

  const answers = await Promise.all([of([]), of(['hr'])].map((by) => perform(search, by, world.ports, { signal })))
  assert.deepEqual(
    answers.map((answer) => (answer as { hits: object[] }).hits.length),
    [0, 1],
  )
  assert.equal(world.counts.embedded, embedded)
})

test('what is like a document that one may not be shown is not told apart from one that is not there', async () => {
  await using world = await memoryTenants()
  await perform(publish('herons', ['hr']), of([]), world.ports, { signal })
  await perform(publish('otters'), of([]), world.ports, { signal })
  await world.settle()
  const like = (key: string) => message({ type: 'search', query: { like: key }, mode: 'dense' })
  const answer = (key: string, by: Principal) =>
    perform(like(key), by, world.ports, { signal }).catch(({ code, message: words }) => `${code} ${words}`)

  const told = await answer('acme/herons', of([]))

  assert.equal(told, 'not_found query.like: there is no document "acme/herons"')
  assert.equal(await answer('acme/nobody', of([])), 'not_found query.like: there is no document "acme/nobody"')
  assert.equal(typeof (await answer('acme/herons', of(['hr']))), 'object')
  assert.match(String(await answer('acme/otters', { ...of(['*']), tenant: 'zenith' })), /^not_found/)
})

test('a request without a tenant, or without a principal, reaches nothing', async () => {
  await using world = await memoryTenants()
  await perform(publish('otters'), of([]), world.ports, { signal })
  await world.settle()
  const before = world.index.requests()
  const nobody = [undefined, null, {}, of(['*']), of(['*'])].map((each, i) =>
    i < 3 ? each : { ...each, tenant: ['', 'acme/x'][i - 3] },
  ) as Principal[]
  const asked = [search, publish('a'), message({ type: 'wait', after: 'e30' })]

  for (const by of nobody)
    for (const each of asked)
      await assert.rejects(perform(each, by, world.ports, { signal }), /a read without a tenant/)
  for (const by of nobody) {
    const { index } = world.ports.serving.of(null)
    const query = { reader: by, dense: new Float32Array(64), terms: null, filter: {}, window: 10 }
    await assert.rejects(async () => index.candidates([query]), /a read without a tenant/)
    await assert.rejects(async () => index.centre(by, 'acme/otters'), /a read without a tenant/)
    await assert.rejects(async () => index.manifests(by, ['acme/otters']), /a read without a tenant/)
    await assert.rejects(
      async () => index.contents(by, ['9f2d8c0d-3c0b-5e5f-8a6e-1d0c4b7a2f91']),
      /a read without a tenant/,
    )
    await assert.rejects(async () => index.termWeights(by, [7]), /a read without a tenant/)
  }

  assert.equal(world.index.requests(), before)
})

test('why a document was rejected is told to who wrote it and to members of every group', async () => {
  await using world = await memoryTenants()
  const bad = { title: null, text: 'fine', url: null, language: null, attributes: { secret: Number.NaN }, acl: ['hr'] }
  const { token, position } = await world.writePastTheDoor('acme/bad', { ...bad, cleaning: '' })
  world.ports.freshness.wrote([position], of([], 'key:writer'))
  await world.settle()
  const reasonFor = async (by: Principal) => {
    const wait = message({ type: 'wait', after: token })
    const { documents } = (await perform(wait, by, world.ports, { signal })) as { documents: { reason: string }[] }
    return documents[0]!.reason
  }

  assert.match(await reasonFor(of([], 'key:writer')), /^attributes\.secret: NaN/)
  assert.match(await reasonFor(of(['*'])), /^attributes\.secret: NaN/)
  assert.equal(await reasonFor(of(['hr'])), 'why is told to whoever published it, and to members of every group')
  assert.equal(await reasonFor({ ...of(['*'], 'key:writer'), tenant: 'zenith' }), null)
})
