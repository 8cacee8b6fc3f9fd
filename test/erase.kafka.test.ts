import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { connect } from '../client/client.ts'
import type { ErasureReceipt } from '../maintenance/erasure-receipt.ts'
import type { Action, InboxDocument } from '../schemas/records.ts'
import { actions, documents, inbox } from '../schemas/topics.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { atRest } from './at-rest.ts'
import { kindOf, pointsOf } from './index-points.ts'
import { openPlatform, type Platform } from './platform.ts'
import { valuesOf } from './topic-records.ts'
import { until } from './until.ts'

test('a tenant is erased although the command is killed in the middle, and the others are as they were', async () => {
  await using platform = await openPlatform()
  await platform.worker()
  const query = await platform.query()
  const client = await connect(query.url)
  for (let i = 0; i < DOCUMENTS; i += 100)
    await client.publish(Array.from({ length: 100 }, (_, j) => ({ id: `d${i + j}`, text: `Text ${i + j} of acme.` })))
  await client.close()
  await writePastTheDoor(platform, 'zenith/plan', 'The plan of zenith.')
  await atRest(platform)
  const before = { acme: await chunksOf(platform, 'acme'), zenith: await chunksOf(platform, 'zenith') }
  const written = await endsOf(platform)

  const first = erasure(platform)
  await until('it has begun to delete', async () => (await endsOf(platform)) > written || !first.runs())
  await first.kill('SIGKILL')
  const second = erasure(platform)
  const ended = await second.ended
  const receipt = JSON.parse(/^\{[\s\S]*^\}/m.exec(second.log())![0]) as ErasureReceipt
  await atRest(platform)
  const after = { acme: await chunksOf(platform, 'acme'), zenith: await chunksOf(platform, 'zenith') }
  const decided = (await valuesOf<Action>(platform, actions)).map(({ what, subject }) => `${what} ${subject}`)
  const socket = new WebSocket(query.url, ['freshet.v1+json'])
  socket.on('error', () => {})
  const [, refusal] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
  const http = query.url.replace(/^ws/, 'http')
  const answer = await fetch(`${http}/v1/search`, { method: 'POST', body: '{"query":"a"}' })

  assert.equal(await first.ended, 'was ended by SIGKILL')
  assert.equal(ended, 'ended with exit code 0', second.log())
  assert.deepEqual([receipt.complete, receipt.open, receipt.documents], [true, [], DOCUMENTS])
  assert.deepEqual(before, { acme: DOCUMENTS, zenith: 1 })
  assert.deepEqual(after, { acme: 0, zenith: 1 })
  assert.deepEqual([...new Set(decided)], ['erase tenants/acme'])
  // Also where everybody is the configured tenant.
  assert.deepEqual([refusal.statusCode, answer.status], [403, 403])
})

const DOCUMENTS = 700

const erasure = (platform: Platform) => platform.freshet('erase', '--tenant', 'acme', '--yes', '--json')

async function chunksOf(platform: Platform, tenant: string): Promise<number> {
  const points = await pointsOf(platform)
  return points.filter((point) => kindOf(point) === 'chunk' && String(point.payload.tenant) === tenant).length
}

async function endsOf({ broker, topic }: Platform): Promise<number> {
  return (await broker.admin.offsets(topic(documents))).reduce((sum, { end }) => sum + end, 0)
}

/** As producers of the tenant's own do. */
async function writePastTheDoor({ broker, serde, topic }: Platform, key: string, text: string): Promise<void> {
  const fields = { title: null, contentType: null, url: null, language: null, attributes: {}, acl: null }
  const value = serde.encode(inbox, { text, ...fields } satisfies InboxDocument)
  const producer = await broker.producer()
  await producer.send([{ topic: topic(inbox), partition: partitionOf(key, 3), key, value }])
  await producer.close()
}
