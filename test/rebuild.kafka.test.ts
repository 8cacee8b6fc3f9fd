import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Client } from '../client/client.ts'
import { reasonOf } from '../streams/errors.ts'
import { atRest } from './at-rest.ts'
import { collectionsOf, completes, killedAt, replaced } from './killed-command.ts'
import { openLoad } from './load.ts'
import type { Answer } from './oracle/answers.ts'
import { judge } from './oracle/judge.ts'
import { worldOf } from './oracle/platform-world.ts'
import { answerOf } from './oracle/reader.ts'
import { openPlatform, type Platform } from './platform.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)

/** What the command says before each step, in order. At each it is killed once, and so is a worker at some. */
const steps = [
  { says: 'is to take the place of', killsWorker: false },
  { says: 'records applied', killsWorker: true },
  { says: 'is filled', killsWorker: false },
  { says: 'comparing', killsWorker: false },
  { says: 'from now on', killsWorker: true },
  { says: 'serves from now on', killsWorker: true },
] as const

test(`a rebuild that is killed at each step, with its workers, goes on, and no reader notices (seed ${seed})`, async (t) => {
  await using platform = await openPlatform({ env: { FRESHET_REBUILD_RECORDS_PER_SECOND_MAX: '60' } })
  const workers = [await platform.worker(), await platform.worker()]
  await platform.query()
  await using load = await openLoad(platform, seed)
  await load.write(600)
  await atRest(platform)
  const first = platform.collection

  const readers = openReaders(platform, await platform.client())
  const flow = load.flow(15)
  let forward = 0
  const switched = async (): Promise<string[]> => {
    for (const { says, killsWorker } of steps) {
      await killedAt(says, ['rebuild', '--yes'], platform)
      if (killsWorker) await replaced(workers, platform)
    }
    await completes(platform, 'rebuild', '--yes')
    const second = await platform.serving()
    forward = readers.answers.length
    await completes(platform, 'rebuild', '--rollback')
    const back = await platform.serving()
    await completes(platform, 'rebuild', '--retire')
    await completes(platform, 'rebuild', '--yes')
    const third = await platform.serving()
    await completes(platform, 'rebuild', '--retire')
    return [second, back, third]
  }
  const [second, back, third] = await switched().finally(() => Promise.all([readers.close(), flow.stop()]))

  assert.deepEqual([second, back, third], [`${first}.g2`, first, `${first}.g3`])
  assert.deepEqual(await collectionsOf(platform), [third])
  assert.deepEqual(readers.faults, [])
  const now = { ...platform, collection: third! }
  await atRest(now)
  const world = await worldOf(now, { answers: readers.answers, formerCollections: [first, second!] })
  // What ingest rejected is not this test's concern: it keeps no log of what was sent.
  const deadLetters = world.deadLetters.filter(({ topic }) => topic === world.documents.topic)
  const { findings, garbage, counts } = await judge({ ...world, deadLetters }, [
    'I1',
    'I2',
    'I3',
    'I4',
    'I5',
    'I6',
    'I7',
    'I10',
  ])
  assert.deepEqual(findings, [])
  assert.deepEqual(garbage, [])
  assert.ok(forward > 50 && readers.waited > 5, `${forward} searches and ${readers.waited} waits are too few`)
  t.diagnostic(`${JSON.stringify(counts)}, ${readers.waited} searches for what was published just before`)
})

interface Readers {
  readonly answers: readonly Answer[]
  readonly faults: readonly string[]
  /** Searches that waited for what their reader had published. */
  readonly waited: number
  close(): Promise<void>
}

/** More say nothing new; and where nothing answers any more, a reader would never let go. */
const FAULTS_MAX = 20

/** Search all the time, publish now and then, and search for what they published. */
function openReaders({ tenant }: Platform, client: Client): Readers {
  const answers: Answer[] = []
  const faults: string[] = []
  let waited = 0
  let closed = false
  const ownWrite = async (round: number): Promise<void> => {
    const text = `Written by the reader itself in round ${round}.`
    const { token } = await client.publish([{ id: 'own', text }])
    const freshness = { after: token, timeoutMs: 25_000, onTimeout: 'error' as const }
    const { hits } = await client.search({ query: text, k: 10, mode: 'keyword', freshness })
    waited++
    if (!hits.some((hit) => hit.documentId === 'own' && hit.text === text))
      faults.push(`round ${round} of the reader was not found after its token`)
  }
  const running = (async () => {
    for (let round = 1; !closed && faults.length < FAULTS_MAX; round++) {
      try {
        const atMs = Date.now()
        const answer = await client.search({ query: 'sentence of the load', k: 50, mode: 'keyword' })
        if (answer.hits.length === 0) faults.push(`search ${round} is empty`)
        answers.push(answerOf(answer, { reader: 'search', tenant, atMs }))
        if (round % 20 === 0) await ownWrite(round)
      } catch (error) {
        faults.push(`search ${round}: ${reasonOf(error)}`)
      }
    }
  })()
  return {
    answers,
    faults,
    get waited() {
      return waited
    },
    async close() {
      closed = true
      await running
    },
  }
}
