import { randomUUID } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { portsFrom } from '../../infra/local/ports.ts'
import { localSettings } from '../../infra/local/settings.ts'
import { atRest } from '../at-rest.ts'
import { loadKeys, loadTenants, openLoad } from '../load.ts'
import type { Earlier } from '../oracle/platform-world.ts'
import { type Reader, readIndex, readQueries } from '../oracle/reader.ts'
import { checkResources, type ResourceSample, type Resources } from '../oracle/resources.ts'
import type { Since } from '../oracle/since-epoch.ts'
import type { Finding, World } from '../oracle/world.ts'
import { openPlatform, type QueryRole, type Role } from '../platform.ts'
import { ownQdrant } from '../qdrant-process.ts'
import { random } from '../random.ts'
import { tcpProxy } from '../tcp-proxy.ts'
import { type KafkaLine, openKafkaLine } from './kafka-line.ts'
import { ownStack } from './own-stack.ts'
import { collectWhenAsked } from './preloads.ts'
import { openQdrantLine, type QdrantLine, type QdrantTreatment } from './qdrant-line.ts'
import { watchRecovery } from './recovery.ts'
import type { Context, Needs, RowSet } from './row.ts'
import { smallDisk } from './small-disk.ts'
import { readStanding, type StandingReaders } from './standing-readers.ts'

/** All that a row needs to run, and what is known about it afterwards. */
export interface Arena extends AsyncDisposable {
  readonly context: Context
  /** What the row and the frame found, beside the oracle. */
  readonly findings: readonly Finding[]
  readonly kills: number
  readonly recoveries: number
  readonly refusals: number
  readonly figures: Readonly<Record<string, number>>
  /** Waits until all is at rest, stops the readers, and says what they and the processes showed. */
  settle(): Promise<
    Pick<World, 'answers' | 'resources' | 'restores' | 'removed'> & { readonly earlier: readonly Earlier[] }
  >
  /** Where the world that is to be judged begins; null: at its beginning. */
  readonly since: Since | null
}

interface ArenaOptions {
  readonly set: RowSet
  readonly seed: number
  say(text: string): void
}

export async function openArena(needs: Needs, { set, seed, say }: ArenaOptions): Promise<Arena> {
  const resources = new AsyncDisposableStack()
  try {
    const disk = needs.smallDisk ? resources.use(smallDisk(needs.smallDisk.mebibytes)) : null
    const diskUnder = (what: 'stack' | 'qdrant') => (needs.smallDisk?.under === what ? disk?.folder : undefined)
    const stack = needs.stack === 'own' ? resources.use(await ownStack(diskUnder('stack'))) : null
    const ownIndex = needs.qdrant === 'own' || stack !== null
    const qdrant = ownIndex ? resources.use(await ownQdrant(diskUnder('qdrant'))) : null
    await qdrant?.start()
    // Before the platform, so that its processes end before the lines do.
    const lines = resources.use(new AsyncDisposableStack())
    const collectFile = join(tmpdir(), `freshet-collect-${randomUUID()}`)
    resources.defer(() => rmSync(collectFile, { force: true }))
    const portBase = stack?.portBase ?? localSettings(process.env).portBase
    const registry = needs.lines?.includes('registry') ? lines.use(await tcpProxy(portsFrom(portBase).registry)) : null
    const platform = resources.use(
      await openPlatform({
        partitions: needs.partitions ?? 3,
        engine: needs.engine ?? 'hash',
        ...(qdrant && { qdrantUrl: qdrant.url }),
        ...(registry && { registryUrl: `http://127.0.0.1:${registry.port}/apis/ccompat/v7` }),
        ...(stack && { portBase: stack.portBase }),
        env: { ...collectWhenAsked(collectFile), ...needs.env },
        ...(needs.workerFile && { workerFile: needs.workerFile }),
      }),
    )
    const missing = (what: string): never => {
      throw new Error(`the row uses ${what}, and does not say so in its needs`)
    }
    const workers: Role[] = []
    const queries: QueryRole[] = []
    const baselines = new Map<Role, Resources>()
    const kafkaLines = new Map<Role, KafkaLine>()
    const qdrantLines = new Map<Role, QdrantLine>()
    const startWorker = async (env?: Readonly<Record<string, string>>, treatment?: QdrantTreatment): Promise<Role> => {
      const kafka = needs.lines?.includes('kafka') ? lines.use(await openKafkaLine(platform.urls.kafka)) : null
      const index = needs.lines?.includes('qdrant') ? lines.use(await openQdrantLine(platform.urls.qdrant)) : null
      if (treatment !== undefined) (index ?? missing('a line to Qdrant')).treat(treatment)
      const worker = await platform.worker({
        ...(kafka && { FRESHET_KAFKA: kafka.address }),
        ...(index && { FRESHET_QDRANT_URL: index.url }),
        ...env,
      })
      if (kafka !== null) kafkaLines.set(worker, kafka)
      if (index !== null) qdrantLines.set(worker, index)
      workers.push(worker)
      baselines.set(worker, await resourcesOf(worker))
      return worker
    }
    const tenants = new Map<Role, string>()
    const startQuery = async (tenant: string): Promise<QueryRole> => {
      const query = await platform.query({ FRESHET_TENANT: tenant })
      tenants.set(query, tenant)
      queries.push(query)
      baselines.set(query, await resourcesOf(query))
      return query
    }
    await startWorker()
    await Promise.all(Array.from({ length: (needs.workers ?? 2) - 1 }, () => startWorker()))
    const load = resources.use(await openLoad(platform, seed, needs))
    const readers: Reader[] = []
    const standing: StandingReaders[] = []
    for (const tenant of loadTenants) {
      const keys = [...loadKeys(tenant, 'documents'), ...loadKeys(tenant, 'inbox')]
      readers.push(await readIndex(`index reader of ${tenant}`, platform, tenant, keys))
      if (needs.queries === false) continue
      await startQuery(tenant)
      const url = () => queries.findLast((query) => tenants.get(query) === tenant)!.url
      readers.push(readQueries(`query reader of ${tenant}`, url, tenant, keys))
      if (needs.standing) standing.push(readStanding(url, tenant))
    }

    const findings: Finding[] = []
    const figures: Record<string, number> = {}
    const restores: { fromMs: number; toMs: number }[] = []
    const removed = new Set<string>()
    const earlier = new Map<string, Earlier>()
    let since: Since | null = null
    const next = random(seed ^ ROW_SEED)
    let kills = 0
    let recoveries = 0
    let setBackAt: number | null = null
    const most = (name: string, value: number) => {
      figures[name] = Math.max(figures[name] ?? 0, value)
    }
    const context: Context = {
      set,
      platform,
      load,
      workers,
      queries,
      get qdrant() {
        return qdrant ?? missing('a Qdrant of its own')
      },
      get stack() {
        return stack ?? missing('a stack of its own')
      },
      get disk() {
        return disk ?? missing('a small disk')
      },
      kafkaLine: (worker) => kafkaLines.get(worker) ?? missing('a line to Kafka'),
      qdrantLine: (worker) => qdrantLines.get(worker) ?? missing('a line to Qdrant'),
      get registryLine() {
        return registry ?? missing('a line to the registry')
      },
      next,
      startWorker,
      startQuery: (predecessor) => startQuery(tenants.get(predecessor)!),
      async signal(role, signal) {
        await role.kill(signal)
        if (signal === 'SIGSTOP' || signal === 'SIGCONT') return
        kills++
        for (const running of [workers, queries] as Role[][])
          if (running.includes(role)) running.splice(running.indexOf(role), 1)
        baselines.delete(role)
      },
      async healed({ secondsMax = RESUME_SECONDS_MAX, what = 'recovery seconds' } = {}) {
        const { resumed, caughtUp } = await watchRecovery(platform, CATCH_UP_MS_MAX)
        recoveries++
        most(what, caughtUp)
        most('seconds until something moves', resumed)
        if (resumed > secondsMax)
          findings.push({
            invariant: 'I8',
            what: `nothing moved for ${resumed.toFixed(1)} s after the heal, and ${secondsMax} is the bound`,
          })
        if (setBackAt !== null) restores.push({ fromMs: setBackAt, toMs: Date.now() })
        setBackAt = null
        if (since?.atMs === Infinity) since = { ...since, atMs: Date.now() }
        return caughtUp
      },
      setBack() {
        setBackAt = Date.now()
      },
      removed(places) {
        for (const place of places) removed.add(place)
      },
      wereThere(records, seen) {
        // As it was when it lay there last.
        for (const record of records)
          earlier.set(`${record.partition}/${record.offset}`, {
            ...record,
            unseen: record.offset >= (seen.get(record.partition) ?? 0),
          })
      },
      async renewed(epoch, sent) {
        const ids = (await platform.broker.admin.topics()).map(({ id }) => id)
        since = { epoch, sent, atMs: Infinity, topicIds: new Set(ids) }
      },
      atRest: (msMax = CATCH_UP_MS_MAX) => atRest(platform, msMax),
      count(name, by = 1) {
        figures[name] = (figures[name] ?? 0) + by
      },
      most,
      expect(holds, otherwise) {
        if (!holds) findings.push({ invariant: 'row', what: otherwise })
      },
      say,
    }
    return {
      context,
      findings,
      figures,
      get kills() {
        return kills
      },
      get since() {
        return since
      },
      get recoveries() {
        return recoveries
      },
      get refusals() {
        return readers.reduce((sum, { refusals }) => sum + refusals.length, 0)
      },
      async settle() {
        await atRest(platform, CATCH_UP_MS_MAX)
        // A few changes each time: of many, a later one would make good what was missed of an earlier.
        for (let round = 0; round < (standing.length > 0 ? STANDING_ROUNDS : 0); round++) {
          if (round > 0) await load.write(STANDING_RECORDS, { poison: 0 })
          await atRest(platform, CATCH_UP_MS_MAX)
          for (const { faults, compared } of await Promise.all(standing.map((each) => each.atRest()))) {
            findings.push(...faults.map((what): Finding => ({ invariant: 'row', what: `standing query: ${what}` })))
            context.count('standing queries compared with a fresh exact search', compared)
          }
        }
        for (const [name, count] of standing.flatMap((each) => Object.entries(each.counts)))
          context.count(`standing queries: ${name}`, count)
        await Promise.all([...readers, ...standing].map((reader) => reader.stop()))
        writeFileSync(collectFile, '')
        const samples = await resourcesAtRest(baselines)
        const answers = [...readers, ...standing].flatMap((reader) => reader.answers)
        return { answers, resources: samples, restores, removed, earlier: [...earlier.values()] }
      },
      async [Symbol.asyncDispose]() {
        await Promise.allSettled([...readers, ...standing].map((reader) => reader.stop()))
        await resources[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await resources[Symbol.asyncDispose]()
    throw error
  }
}

/** When they are where they were, or when V8 has had the time to collect what nobody holds: it does so late in a process that is idle. */
async function resourcesAtRest(baselines: ReadonlyMap<Role, Resources>): Promise<readonly ResourceSample[]> {
  const patience = performance.now() + SETTLE_MS_MAX
  for (;;) {
    const samples = await Promise.all(
      [...baselines].map(async ([role, before]) => ({
        process: `${role.name} ${role.pid}`,
        before,
        after: await resourcesOf(role),
      })),
    )
    const { findings } = checkResources({ resources: samples })
    if (findings.length === 0 || performance.now() > patience) return samples
    await delay(SETTLE_LOOK_EVERY_MS)
  }
}

async function resourcesOf(role: Role): Promise<Resources> {
  const [resident, heap, heapUsed, external, openFiles, queued] = (await Promise.all(
    [
      'process_resident_memory_bytes',
      'nodejs_heap_size_total_bytes',
      'nodejs_heap_size_used_bytes',
      'nodejs_external_memory_bytes',
      'process_open_fds',
      'freshet_embedding_queue_texts',
    ].map((name) => role.metric(name)),
  )) as [number, number, number, number, number, number]
  return { heldBytes: heapUsed + external, residentBytes: resident - (heap - heapUsed), openFiles, queued }
}

const SETTLE_MS_MAX = 60_000
const SETTLE_LOOK_EVERY_MS = 2_000

/** How often standing queries are compared at rest, and after how many changes again. */
const STANDING_ROUNDS = 6
const STANDING_RECORDS = 3

/** Other numbers than those of the load. */
const ROW_SEED = 0x5f3759df
/** I8: progress resumes within this. */
const RESUME_SECONDS_MAX = 60
const CATCH_UP_MS_MAX = 180_000
