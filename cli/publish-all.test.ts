import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, FreshetError, type PublishItem } from '../client/client.ts'
import { publishAll } from './publish-all.ts'

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

test('one document that is refused does not hold up the others of its batch', async () => {
  const { client } = refusing()
  const ended: [string, string | null][] = []

  await publishAll(client, from(['a', 'bad', 'b']), {
    done: ({ item }, reason) => ended.push([item.id, reason]),
    saved() {},
  })

  assert.deepEqual(ended, [
    ['a', null],
    ['bad', 'text: is empty; send some'],
    ['b', null],
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
