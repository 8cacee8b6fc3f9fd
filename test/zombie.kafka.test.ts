import assert from 'node:assert/strict'
import { test } from 'node:test'
import { atRest } from './at-rest.ts'
import { openLoad } from './load.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { until } from './until.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)
const watched = Array.from({ length: 12 }, (_, i) => `watched-${i}`)
const textOf = (id: string, version: number): string =>
  Array.from({ length: 40 }, (_, i) => `Version ${version} of ${id}, line ${i}, under watch.`).join(' ')

test(`a worker that stood still and was given up does no harm when it wakes (seed ${seed})`, async (t) => {
  await using platform = await openPlatform({ engine: 'model' })
  const [sleeper] = await Promise.all([platform.worker(), platform.query()])
  const [writer, reader] = [await platform.client(), await platform.client()]
  const load = await openLoad(platform, seed)
  const watching = { done: false, answers: 0, faults: [] as string[] }
  const write = (version: number, ack: 'accepted' | 'indexed') =>
    writer.publish(
      watched.map((id) => ({ id, text: textOf(id, version) })),
      { ack, timeoutMs: 60_000 },
    )
  await write(1, 'indexed')
  const polling = poll()
  // What fails first is told, not the reader whose connection then ends.
  polling.catch(() => {})
  // In the midst of its work: what it has embedded by then, it will send when it wakes, and the index will have newer revisions.
  const embedded = () => sleeper.metric('freshet_chunks_total', { from: 'model' })
  const before = await embedded()
  await write(2, 'accepted')
  await load.write(60)
  await until('the worker embeds', async () => (await embedded()) > before)
  await sleeper.kill('SIGSTOP')

  const successor = await platform.worker()
  await atRest(platform)
  await write(3, 'indexed')
  await load.write(30)
  await atRest(platform)
  await sleeper.kill('SIGCONT')
  await write(4, 'indexed')
  // The sleeper is back when it has a share of the work again.
  const shares = async () => {
    const own = await Promise.all([sleeper, successor].map((worker) => partitionsOf(worker.adminUrl)))
    return own.every((count) => count > 0 && count < platform.partitions) || own.join(' and ')
  }
  await until('both workers have partitions', shares, 60_000)
  await load.write(30)
  await write(5, 'indexed')
  await atRest(platform)
  watching.done = true
  await polling

  t.diagnostic(`${watching.answers} answers`)
  assert.deepEqual(watching.faults.slice(0, 10), [])
  assert.ok(watching.answers > 50)
  const { served, garbage } = await differences(platform)
  assert.deepEqual(served, [])
  assert.deepEqual(await unaccounted(platform), [])
  // A zombie may leave chunks that nobody is shown, for the audit.
  t.diagnostic(`${garbage.length} chunks left over that are not served`)

  /** Of each watched document: one version at a time, whole, and never an older one again. */
  async function poll(): Promise<void> {
    const latest = new Map<string, number>()
    for (let i = 0; !watching.done; i++) {
      const id = watched[i % watched.length]!
      const { hits } = await reader.search({ query: `version of ${id}, under watch`, k: 100 })
      watching.answers++
      for (const [documentId, own] of Map.groupBy(hits, (hit) => hit.documentId)) {
        if (!watched.includes(documentId)) continue
        const versions = [...new Set(own.map(({ text }) => Number(/Version (\d+) of watched/.exec(text)?.[1])))]
        const newest = Math.max(...versions)
        if (versions.length > 1) watching.faults.push(`${documentId} mixes ${versions.join(' and ')}`)
        if (newest < (latest.get(documentId) ?? 0)) watching.faults.push(`${documentId} went back to ${newest}`)
        latest.set(documentId, Math.max(newest, latest.get(documentId) ?? 0))
      }
      if (!hits.some(({ documentId }) => documentId === id)) watching.faults.push(`${id} is not there`)
    }
  }
})

/** Partitions of `vectors` that a worker has. */
async function partitionsOf(adminUrl: string): Promise<number> {
  const response = await fetch(`${adminUrl}/metrics`)
  const lines = (await response.text()).split('\n')
  return lines.filter((line) => line.startsWith('freshet_low_offset{') && line.includes('processor="index-vectors"'))
    .length
}
