import type { DocumentVectors } from '../../schemas/records.ts'
import { vectors } from '../../schemas/topics.ts'
import { groupOf } from '../../streams/runner.ts'
import type { Platform } from '../platform.ts'
import { receiptsOf, recordsOf } from '../topic-records.ts'
import { stages } from './handled.ts'
import { appliedWithoutReceipt } from './index-state.ts'
import { type Moment, passing } from './moments.ts'
import type { Context, Row } from './row.ts'

/** Rounds, each of which kills one of two workers at another moment of the path. */
const rounds = { fast: 6, full: 20 }
const RECOVERY_SECONDS_MAX = 15
/** After so many rounds also a query service is killed. */
const QUERY_EVERY = 4
/** In turn: most often between the index write and its receipts, where most can go wrong. */
const moments: readonly Moment[] = ['manifest', 'marker', 'embedded', 'manifest', 'marker', 'ingested']

export const kill: Row = {
  id: 'F1',
  title: 'kill -9 of one of two workers, at every stage',
  sets: ['fast', 'full'],
  needs: { standing: true },
  run: (context) => killAgainAndAgain(context, rounds[context.set]),
}

/** As it is configured by default: most of the time until others go on is Kafka's wait for the dead one. */
export const killWithDefaults: Row = {
  ...kill,
  id: 'F1d',
  title: 'the same with the default session timeout of 10 s',
  sets: ['full'],
  needs: { standing: true, env: { FRESHET_SESSION_TIMEOUT_MS: '10000' } },
  run: (context) => killAgainAndAgain(context, 6),
}

async function killAgainAndAgain(context: Context, times: number): Promise<void> {
  const {
    set,
    platform,
    load,
    workers,
    queries,
    next,
    startWorker,
    startQuery,
    signal,
    healed,
    atRest,
    count,
    most,
    expect,
    say,
  } = context
  await load.write(200)
  await atRest()
  let inFlight = 0
  let hits = 0
  let queryKills = 0
  for (let round = 0; round < times; round++) {
    const moment = moments[round % moments.length]!
    const passed = passing(platform, moment, 1 + Math.floor(next() * 2))
    await load.write(150)
    await passed
    const killedAt = performance.now()
    await signal(workers[Math.floor(next() * workers.length)]!, 'SIGKILL')
    inFlight += await uncommitted(platform)
    if ((await appliedWithoutReceipt(platform)) > 0) hits++
    await load.write(50)
    await healed()
    const seconds = (performance.now() - killedAt) / 1_000
    most('seconds from a kill until all was there', seconds)
    say(`round ${round + 1} at ${moment}: all was there after ${seconds.toFixed(1)} s`)
    if (set === 'full')
      expect(
        seconds <= RECOVERY_SECONDS_MAX,
        `recovery took ${seconds.toFixed(1)} s, and ${RECOVERY_SECONDS_MAX} is the bound`,
      )
    await startWorker()
    if (round % QUERY_EVERY === 1) {
      // The one that takes its place knows nothing of its standing queries.
      const query = queries[Math.floor(next() * queries.length)]!
      await startQuery(query)
      await signal(query, 'SIGKILL')
      queryKills++
    }
  }
  await atRest()
  count('kills of a query service', queryKills)
  const again = await handledAgain(platform)
  count('kills between the index write and its receipts', hits)
  expect(hits > 0, 'no kill hit between the index write and its receipts: the row says nothing about it')
  count('records under way when it was killed', inFlight)
  count('records handled again', again)
  expect(again <= inFlight, `${again} records were handled again, and only ${inFlight} were under way`)
}

/** What lies between the committed offsets and the ends of the logs: the window that may be worked on again. */
async function uncommitted(platform: Platform): Promise<number> {
  const { broker, scope } = platform
  let sum = 0
  for (const [processor, topic] of stages) {
    const name = platform.topic(topic)
    const committed = await broker.admin.committed(groupOf(scope, processor), name)
    for (const { partition, end } of await broker.admin.offsets(name))
      sum += end - (committed.find((each) => each.partition === partition)?.offset ?? 0)
  }
  return sum
}

/** Revisions that lie in `vectors` more than once, and records that have more than one receipt. */
async function handledAgain(platform: Platform): Promise<number> {
  const seen = new Set<string>()
  let again = 0
  for (const { key, value } of await recordsOf(platform, vectors)) {
    if (value === null || key === null || key[0] === 0x7e) continue
    const { offset, derivation } = (await platform.serde.decode(vectors, value)) as DocumentVectors
    const name = `${key} ${offset} ${derivation}`
    if (seen.has(name)) again++
    seen.add(name)
  }
  const receipts = await receiptsOf(platform)
  return (
    again +
    receipts.length -
    new Set(receipts.map(({ partition, offset, derivation }) => `${partition}/${offset}/${derivation}`)).size
  )
}
