import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, FreshetError, type PublishItem } from '../client/client.ts'
import { type Ending, publishAll } from './publish-all.ts'

/** A client whose server refuses every batch that holds a document called bad. */
function refusing(): { client: Client; published: string[][] } {
  const published: string[][] = []
  const client = {
    async publish(items: readonly PublishItem[]) {
      if (items.some(({ id }) => id === 'bad'))
        throw new FreshetError('rejected', 'documents.0 ("bad"): text: is empty; send some')
      published.push(items.map(({ id }) => id))
      return { token: 't', documents: [] }
    },
    wait: async () => ({ documents: [{ partition: 0, offset: 0, outcome: 'indexed', reason: null }], asOf: {} }),
  }
  return { client: client as unknown as Client, published }
}

const from = async function* (ids: readonly string[]) {
  for (const id of ids) yield { item: { id, text: id } }
}

function noted() {
  const ended: [string, Ending][] = []
  const done = ({ item }: { item: PublishItem }, ending: Ending) => void ended.push([item.id, ending])
  let saves = 0
  return { ended, saves: () => saves, publishing: { done, saved: () => void saves++ } }
}

test('one document that is refused does not hold up the others of its batch', async () => {
  const { client } = refusing()
  const { ended, publishing } = noted()

  await publishAll(client, from(['a', 'bad', 'b']), publishing)

  assert.deepEqual(ended, [
    ['a', { is: 'published' }],
    ['bad', { is: 'rejected', reason: 'text: is empty; send some' }],
    ['b', { is: 'published' }],
  ])
})

test('two versions of one document go in order, never in one batch', async () => {
  const { client, published } = refusing()

  await publishAll(client, from(['a', 'b', 'a']), { done() {}, saved() {} })

  assert.deepEqual(published, [['a', 'b'], ['a']])
})

test('over a quota the run goes on when it was told to, and everything is published', async () => {
  const { client, published } = refusing()
  let refusals = 0
  const publish: Client['publish'] = (items) =>
    refusals++ < 3
      ? Promise.reject(new FreshetError('rate_limited', 'tenant acme is over its quota', true, 1))
      : client.publish(items)

  await publishAll({ ...client, publish }, from(['a', 'b']), { done() {}, saved() {} })

  assert.deepEqual([refusals, published], [4, [['a', 'b']]])
})

test('a server that is gone ends the run', async () => {
  const { client } = refusing()
  const gone = {
    ...client,
    publish: () => Promise.reject(new FreshetError('closed', 'the connection was closed', true)),
  }

  await assert.rejects(publishAll(gone, from(['a']), { done() {}, saved() {} }), { code: 'closed' })
})

test('what is in doubt is published again, and is published once that is confirmed', async () => {
  const { client, published } = refusing()
  const { ended, publishing } = noted()
  const sent: string[][] = []
  const publish: Client['publish'] = (items) =>
    sent.push(items.map(({ id }) => id)) < 3 ? Promise.reject(inDoubt) : client.publish(items)

  await publishAll({ ...client, publish }, from(['a', 'b']), publishing)

  assert.deepEqual([sent.length, published], [3, [['a', 'b']]])
  assert.deepEqual(ended, [
    ['a', { is: 'published' }],
    ['b', { is: 'published' }],
  ])
})

test('what stays in doubt is not published for ever but said, and the others go through', async () => {
  const { client } = refusing()
  const { ended, publishing } = noted()
  let attempts = 0
  const publish: Client['publish'] = async (items) => {
    if (items.length > 1) return client.publish(items)
    attempts++
    throw inDoubt
  }

  // Of one document in two versions, the first is a batch by itself.
  await publishAll({ ...client, publish }, from(['a', 'a', 'b']), publishing)

  assert.equal(attempts, 5)
  assert.deepEqual(ended, [
    ['a', { is: 'unconfirmed', reason: inDoubt.message }],
    ['a', { is: 'published' }],
    ['b', { is: 'published' }],
  ])
})

test('a server that goes away for good while something is in doubt ends the run, and what is in doubt is said and saved', async () => {
  const { client } = refusing()
  const { ended, saves, publishing } = noted()
  let attempts = 0
  const publish: Client['publish'] = () =>
    Promise.reject(attempts++ === 0 ? inDoubt : new FreshetError('unreachable', 'nothing answers', true))

  await assert.rejects(publishAll({ ...client, publish }, from(['a']), publishing), { code: 'unreachable' })

  assert.deepEqual(ended, [['a', { is: 'unconfirmed', reason: inDoubt.message }]])
  assert.equal(saves(), 1)
})

const inDoubt = new FreshetError('unconfirmed', 'the connection was closed; it is not known whether', true)
