import { setTimeout as delay } from 'node:timers/promises'
import { type Client, connect, FreshetError } from '../../client/client.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { documents, vectors } from '../../schemas/topics.ts'
import { positionsOf, tokenOf } from '../../search/freshness.ts'
import { groupOf } from '../../streams/runner.ts'
import type { Role } from '../platform.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'

const downMs = { fast: 25_000, full: 300_000 }
const recordsPerSecond = 50
/** What was under way when Qdrant went. */
const IN_FLIGHT_MAX = 128
const WAITED_MIN = 200
/** What a worker may hold more, however long the outage is. */
const MEMORY_GROWTH_BYTES_MAX = 384 * 1024 * 1024

/** Work waits in Kafka, nothing is thrown away, and whoever asks is told. */
export const indexOutage: Row = {
  id: 'F11',
  title: 'Qdrant down for five minutes',
  sets: ['full'],
  needs: { qdrant: 'own' },
  async run(context) {
    const { set, load, workers, qdrant, healed, atRest, count, most, expect } = context
    await load.write(200)
    await atRest()
    const [memoryBefore, committedBefore] = [await memoryOf(workers), await committedIn(context)]
    await qdrant.stop('SIGKILL')

    const flow = load.flow(recordsPerSecond)
    const over = delay(downMs[set])
    await until('every role says that the index is unreachable', () => allSayUnreachable(context), 60_000)
    for (const [operation, { code, wanted }] of Object.entries(await whatQueriesSay(context))) {
      count(`${operation}: ${code}`)
      expect(code === wanted, `a ${operation} was answered with ${code}, and ${wanted} is due`)
    }
    await over
    await flow.stop()
    const [memory, committed, end] = [await memoryOf(workers), await committedIn(context), await endOf(context)]
    count('records of vectors that waited', end - committed)
    most('MiB that the workers held at the end of the outage', Math.round(memory / 1024 / 1024))
    expect(
      committed <= committedBefore + IN_FLIGHT_MAX,
      `${committed - committedBefore} offsets were committed meanwhile`,
    )
    expect(end - committed >= WAITED_MIN, `only ${end - committed} records waited: the row says nothing`)
    expect(
      memory <= memoryBefore + workers.length * MEMORY_GROWTH_BYTES_MAX,
      `the workers held ${memory} bytes at the end, and ${memoryBefore} before`,
    )

    await qdrant.start()
    await healed()
    await until('every role is ready again', () => allReady(context), 60_000)
  },
}

type Said = Record<string, { readonly code: string; readonly wanted: string }>

/** A search cannot be done and says so; whoever waits for what is newer than the index waits in vain. */
async function whatQueriesSay({ platform, queries }: Context): Promise<Said> {
  const client = await connect(queries[0]!.url)
  try {
    const ends = await platform.broker.admin.offsets(platform.topic(documents))
    const { epoch } = positionsOf(client.token)!
    const newest = Object.fromEntries(ends.map(({ partition, end }) => [partition, end - 1]))
    const waited = client.wait(tokenOf({ epoch, documents: newest }), { timeoutMs: 500 })
    return {
      search: { code: await codeOf(client.search({ query: 'anything' })), wanted: 'unavailable, retryable' },
      wait: { code: await codeOf(waited), wanted: 'timeout, retryable' },
    }
  } finally {
    await client.close()
  }
}

const codeOf = (asked: ReturnType<Client['search'] | Client['wait']>): Promise<string> =>
  (asked as Promise<unknown>).then(
    () => 'an answer',
    (error) => (error instanceof FreshetError ? `${error.code}${error.retryable ? ', retryable' : ''}` : String(error)),
  )

async function allSayUnreachable({ workers, queries }: Context): Promise<boolean | string> {
  const said = await Promise.all([...workers, ...queries].map(readiness))
  const silent = said.filter(({ status, text }) => status !== 503 || !text.includes('index-unreachable'))
  return silent.length === 0 || silent.map(({ status, text }) => `${status} ${text}`).join('; ')
}

async function allReady({ workers, queries }: Context): Promise<boolean | string> {
  const said = await Promise.all([...workers, ...queries].map(readiness))
  return said.every(({ status }) => status === 200) || said.map(({ text }) => text).join('; ')
}

async function readiness({ adminUrl }: Role): Promise<{ status: number; text: string }> {
  const response = await fetch(`${adminUrl}/health/ready`, { signal: AbortSignal.timeout(10_000) })
  return { status: response.status, text: await response.text() }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((so, each) => so + each, 0)

const memoryOf = async (roles: readonly Role[]): Promise<number> =>
  sum(await Promise.all(roles.map((role) => role.metric('process_resident_memory_bytes'))))

const committedIn = async ({ platform: { broker, scope, topic } }: Context): Promise<number> =>
  sum((await broker.admin.committed(groupOf(scope, indexVectors), topic(vectors))).map(({ offset }) => offset))

const endOf = async ({ platform: { broker, topic } }: Context): Promise<number> =>
  sum((await broker.admin.offsets(topic(vectors))).map(({ end }) => end))
