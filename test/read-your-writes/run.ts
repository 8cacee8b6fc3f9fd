import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { openLoad } from '../load.ts'
import { openPlatform, type Platform, type Role, signed } from '../platform.ts'
import { random } from '../random.ts'
import { until } from '../until.ts'
import { type Door, doorsOf } from './doors.ts'
import { judge } from './judge.ts'
import { Pairs, type Unmet } from './pairs.ts'

export interface RunOptions {
  readonly seed: number
  /** Pairs whose bound was met; what was not met comes on top. */
  readonly pairs: number
  /** Of one of two workers, now and then: it stands still for seconds, or is killed and another is started. */
  readonly trouble: 'freeze' | 'kill'
  readonly troubles: number
  /** Pairs at a time: those with much time, and those with little. */
  readonly patient?: number
  readonly hasty?: number
  /** Written beside, by other producers. */
  readonly loadRecordsPerSecond?: number
  readonly engine?: 'hash' | 'model'
  readonly unasked?: number
  say?(text: string): void
}

export type RunReport = Awaited<ReturnType<typeof readYourWrites>>

/** How late an unmet bound may be answered. */
export const LATE_MS_MAX = 50

/**
 * Publishes by one instance and searches by another that asks for at least that, over WebSocket and HTTP, through gateways, beside a bulk
 * load and a worker in trouble; and judges every answer by the history of its key.
 */
export async function readYourWrites(options: RunOptions) {
  const {
    seed,
    pairs: wanted,
    trouble,
    troubles,
    patient = 40,
    hasty = 3,
    loadRecordsPerSecond = 20,
    engine = 'hash',
    say,
  } = options
  await using platform = await openPlatform({ engine, env: UNBOUND })
  const workers = [await platform.worker(), await platform.worker()]
  const queries = await Promise.all([platform.query(signed), platform.query(signed)])
  const doors = await openDoors(platform, queries)
  try {
    await using load = await openLoad(platform, seed, { poison: 0.02 })
    const next = random(seed)
    const pairs = new Pairs({ doors, tenant: platform.tenant, next, patient, hasty, unasked: options.unasked ?? 0 })
    const loop = monitorEventLoopDelay({ resolution: 2 })
    loop.enable()
    const began = performance.now()
    const flow = load.flow(loadRecordsPerSecond)
    const running = pairs.run()
    running.catch(() => {})
    const reached = (count: number) =>
      until(
        `${count} pairs are done`,
        () => pairs.satisfied >= count || `${pairs.satisfied} are: ${JSON.stringify(pairs.counts)}`,
        PAIRS_MS_MAX,
        LOOK_EVERY_MS,
      )
    for (let i = 1; i <= troubles; i++) {
      await reached(Math.floor((wanted * i) / (troubles + 1)))
      say?.(
        `${pairs.satisfied} pairs after ${Math.round((performance.now() - began) / 1_000)} s; a worker comes into trouble`,
      )
      await beInTrouble(platform, workers, trouble, next)
    }
    await reached(wanted)
    pairs.stop()
    await running
    await flow.stop()
    loop.disable()
    const seconds = (performance.now() - began) / 1_000
    const { stale, compared, satisfied } = judge(pairs.writes, pairs.reads)
    return {
      seed,
      engine,
      trouble: { what: trouble, times: troubles },
      seconds: round(seconds),
      pairsAtOnce: { patient, hasty },
      loadRecords: load.sent.length,
      pairs: { satisfied, stale: stale.length, unmet: pairs.unmet.length, answersCompared: compared },
      staleFound: stale.slice(0, FOUND_MAX),
      counts: Object.fromEntries(Object.entries(pairs.counts).sort(([a], [b]) => a.localeCompare(b))),
      metMs: spread(pairs.metMs),
      unmet: {
        lateMsMax: LATE_MS_MAX,
        ...lateness(pairs.unmet),
        asTheServiceSees: await ownLateness(queries, pairs),
      },
      eventLoopDelayMs: {
        client: { p99: round(loop.percentile(99) / 1e6), max: round(loop.max / 1e6) },
        queryServices: await Promise.all(
          queries.map(async (each) => round((await each.metric('nodejs_eventloop_lag_max_seconds')) * 1_000)),
        ),
      },
    }
  } finally {
    await Promise.all(doors.map((door) => door.close()))
  }
}

/** One gateway before each instance, so that it is known who asks whom, and one before both. */
async function openDoors(
  platform: Platform,
  queries: readonly Awaited<ReturnType<Platform['query']>>[],
): Promise<readonly Door[]> {
  const scopes = ['--tenant', platform.tenant, '--scopes', 'search,publish', '--json']
  const command = platform.freshet('keys', 'create', 'pairs', ...scopes)
  await command.ended
  const { apiKey } = JSON.parse(command.log()) as { apiKey: string }
  const doors: Door[] = []
  for (const [behind, instances] of [
    ['the first', queries.slice(0, 1)],
    ['the second', queries.slice(1)],
    ['either', queries],
  ] as const) {
    const gateway = await platform.gateway(instances)
    await until(
      'the gateway knows the key',
      async () => {
        const error = await doorsOf(behind, gateway, apiKey).then(
          (both) => void doors.push(...both),
          (reason: Error) => reason.message,
        )
        return error ?? true
      },
      20_000,
      GUESS_EVERY_MS,
    )
  }
  return doors
}

async function beInTrouble(
  platform: Platform,
  workers: Role[],
  trouble: RunOptions['trouble'],
  next: () => number,
): Promise<void> {
  const at = Math.floor(next() * workers.length)
  const worker = workers[at]!
  if (trouble === 'kill') {
    await worker.kill('SIGKILL')
    workers[at] = await platform.worker()
    return
  }
  await worker.kill('SIGSTOP')
  await delay(STILL_MS)
  await worker.kill('SIGCONT')
}

function lateness(unmet: readonly Unmet[]) {
  const of = (answered: Unmet['answered']) => {
    const some = unmet.filter((each) => each.answered === answered)
    return {
      count: some.length,
      lateMs: spread(some.map(({ lateMs }) => lateMs)),
      over: some.filter(({ lateMs }) => lateMs > LATE_MS_MAX).length,
    }
  }
  const controls = unmet.flatMap(({ controlMs }) => (controlMs === null ? [] : [controlMs]))
  return { error: of('error'), stale: of('stale'), timersOfTheClientLateMs: spread(controls) }
}

/** Of stale answers each says how long it took; of errors there is a sum. */
async function ownLateness(queries: readonly Role[], { unmet, timeoutsMs }: Pairs) {
  const own = unmet.flatMap(({ ownLateMs }) => (ownLateMs === null ? [] : [ownLateMs]))
  const labels = { type: 'search', code: 'timeout' }
  const sum = async (name: string) =>
    (await Promise.all(queries.map((each) => each.metric(name, labels)))).reduce((a, b) => a + b, 0)
  const [seconds, count] = [await sum('freshet_operation_seconds_sum'), await sum('freshet_operation_seconds_count')]
  return {
    staleLateMs: spread(own),
    errorLateMsMean: count === 0 ? null : round((seconds * 1_000 - timeoutsMs) / count),
  }
}

function spread(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
}

const round = (value: number): number => Math.round(value * 10) / 10

/** The limits of callers are tested elsewhere. */
const UNBOUND = Object.fromEntries(
  ['REQUESTS_PER_SECOND', 'EMBEDDED_TOKENS_PER_MINUTE', 'TENANT_BYTES_PER_SECOND'].map((name) => [
    `FRESHET_${name}`,
    '1000000000',
  ]),
)
/** Shorter than the session timeout: it keeps its partitions. */
const STILL_MS = 2_500
const PAIRS_MS_MAX = 40 * 60_000
const LOOK_EVERY_MS = 50
/** A key that is not known yet is a guess to the gateway, which takes few of them. */
const GUESS_EVERY_MS = 400
const FOUND_MAX = 20
