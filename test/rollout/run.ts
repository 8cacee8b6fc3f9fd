import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { paragraphs, questions } from '../../bench/corpus.ts'
import { type Client, connect } from '../../client/client.ts'
import type { Engine } from '../../engine/embedder.ts'
import { createEngine } from '../../engine/engine.ts'
import { hashEngine } from '../../engine/hash-engine.ts'
import { firstCollection } from '../../processors/collections.ts'
import { quantile } from '../../search/judgement.ts'
import { reasonOf } from '../../streams/errors.ts'
import { atRest } from '../at-rest.ts'
import { killedAt } from '../killed-command.ts'
import { openPlatform, type Platform, signed } from '../platform.ts'
import { random as randomOf } from '../random.ts'
import { until } from '../until.ts'
import { type Caller, Readers, Standing } from './readers.ts'
import { checkScores, type ScoreCheck } from './scores.ts'

export interface RunOptions {
  readonly documents: number
  readonly searches: number
  readonly engine: 'model' | 'hash'
  /** NAME@VERSION. */
  readonly to: string
  /** A second, a fifth of them deletions. */
  readonly changes: number
  readonly seed: number
  /** Each command is killed once at each of its steps, and the worker at some. */
  readonly kill: boolean
  readonly modelsDir: string
  readonly dataDir: string
  say(text: string): void
}

/** From one model to another and back, while documents are changed and deleted, and searches go on, of two tenants. */
export async function rollOut(options: RunOptions) {
  const { documents: count, kill, say } = options
  const random = randomOf(options.seed)
  const texts = paragraphs(count)
  const env = { ...UNBOUND, ...(kill && { FRESHET_REBUILD_RECORDS_PER_SECOND_MAX: '60' }) }
  await using platform = await openPlatform({ engine: options.engine, env })
  const candidate =
    options.engine === 'hash'
      ? hashEngine({ version: '2' })
      : await createEngine({ model: options.to, modelsDir: options.modelsDir, workers: 1, log: SILENT })
  const [old, young] = [platform.collection, firstCollection({ ...platform.scope, space: candidate.space.id })]
  const engines = new Map<string, Engine>([platform.engine, candidate].map((engine) => [engine.space.id, engine]))
  const workers = [await platform.worker()]
  const callers = await openCallers(platform, [platform.tenant, CANARY_TENANT])
  const [acme, canary] = callers
  const of = (i: number): Opened => (i % 3 === 2 ? canary! : acme!)
  const again = async (caller: Opened): Promise<Caller> => ({ ...caller, client: await caller.more() })
  const stopped = new AbortController()
  const asked = questions(texts, 300)
  const readers = new Readers({ asked, random, keptOneOf: 10, stopped: stopped.signal })
  const scores: ScoreCheck = { answers: 0, compared: 0, mixed: 0, explainedByTheOther: 0, differenceMax: 0 }
  const phases: Record<string, { seconds: number; searches: number }> = {}
  let [changes, deletions, cliKills, workerKills] = [0, 0, 0, 0]

  const phase = async (name: string, work: () => Promise<void>): Promise<void> => {
    const [began, before] = [performance.now(), readers.searches]
    readers.phase = name
    await work()
    phases[name] = { seconds: Math.round((performance.now() - began) / 1_000), searches: readers.searches - before }
    say(`${name}: ${JSON.stringify(phases[name])}, failed ${readers.failed.length}`)
  }
  const freshet = async (...args: string[]): Promise<string> => {
    for (const { says, worker } of kill ? (KILLS[args[1]!] ?? []) : []) {
      await killedAt(says, args, platform)
      cliKills++
      if (!worker) continue
      await workers.shift()!.kill('SIGKILL')
      workers.push(await platform.worker())
      workerKills++
    }
    const command = platform.freshet(...args)
    const how = await command.ended
    if (how !== 'ended with exit code 0') throw new Error(`freshet ${args.join(' ')} ${how}:\n${command.log()}`)
    return command.log()
  }
  const change = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const i = Math.floor(random() * count)
      const isDeleted = random() < 0.2
      const document = isDeleted
        ? { id: `d${i}`, delete: true as const }
        : { id: `d${i}`, text: texts[Math.floor(random() * count)]!.text }
      await of(i)
        .client.publish([document])
        .then(() => (isDeleted ? deletions++ : changes++))
        .catch((error) => readers.failed.push(`a publish: ${reasonOf(error)}`))
      await delay(1_000 / options.changes, undefined, { signal: stopped.signal }).catch(() => {})
    }
  }
  /** So many more, of all: each place that is answered from gets its share, however long the filling takes. */
  const searched = async (share: number): Promise<void> => {
    const wanted = readers.searches + options.searches * share
    await until('enough searches', () => readers.searches >= wanted || `${readers.searches}`, FILL_MS_MAX, 250)
  }
  const looked = () => checkScores(readers.explained.splice(0), platform, [old, young], engines, scores)

  await phase('the first model is filled', async () => {
    for (const caller of callers) {
      const own = texts.flatMap(({ text }, i) => (of(i) === caller ? [{ id: `d${i}`, text }] : []))
      for (let i = 0; i < own.length; i += 100) await caller.client.publish(own.slice(i, i + 100))
    }
    await atRest(platform, FILL_MS_MAX)
  })
  const flows: Promise<void>[] = [change()]
  for (let i = 0; i < 6; i++) flows.push(readers.ask(await again(of(i))))
  for (let i = 0; i < 3; i++) flows.push(readers.readOwn(await again(of(i)), `r${i}`))
  const follow = new AbortController()
  const standing = await Promise.all(
    asked.slice(0, 6).map(async (query, i) => new Standing(await again(of(i)), query, follow.signal)),
  )
  let comparison: unknown = null
  const serving: Record<string, boolean> = {}
  try {
    await phase('before it', () => searched(0.1))
    await phase('rollout', async () => void (await freshet('models', 'rollout', options.to)))
    comparison = await compare(texts, options.dataDir, platform)
    await phase('canary', async () => {
      await freshet('models', 'canary', '--tenants', CANARY_TENANT)
      await searched(0.2)
    })
    await looked()
    await phase('promote', async () => void (await freshet('models', 'promote')))
    serving.promoted = (await platform.serving()) === young
    await phase('on the new model', () => searched(0.4))
    await looked()
    await phase('rollback', async () => void (await freshet('models', 'rollback')))
    serving.rolledBack = (await platform.serving()) === old
    await phase('on the former model', () => searched(0.3))
  } finally {
    stopped.abort()
    await Promise.all(flows)
  }
  await atRest({ ...platform, collection: old }, FILL_MS_MAX)
  await atRest({ ...platform, collection: young }, FILL_MS_MAX)
  await looked()
  const audits: Record<string, boolean> = {}
  for (const collection of [old, young])
    audits[collection] = await freshet('audit', '--collection', collection).then(
      () => true,
      (error) => {
        say(reasonOf(error))
        return false
      },
    )
  const settled = async () => (await Promise.all(standing.map((each) => each.isRight()))).every((isRight) => isRight)
  await until('standing queries have settled', settled, SETTLED_MS_MAX, 250).catch((error) => say(reasonOf(error)))
  for (const each of standing) if (!(await each.isRight())) say(await each.difference())
  const right = await Promise.all(standing.map((each) => each.isRight()))
  follow.abort()
  await Promise.all(standing.map(({ running }) => running))
  await candidate.close()
  const { searches, failed, empty, own, latencies, answers, turns } = readers
  await Promise.all(callers.map((caller) => caller.close()))
  return {
    documents: count,
    from: old,
    to: young,
    searches,
    failed: failed.length,
    failures: failed.slice(0, 10),
    empty,
    scores,
    /** Of each reader, how often another space answered than before: the canary or promotion, and the rollback. */
    turns: turns.map((each) => each.length - 1),
    readYourWrites: { met: own.met, unmet: own.unmet, wentBack: own.wentBack.length, found: own.wentBack.slice(0, 10) },
    standing: standing.map(({ caller, epochs, states, unsaid }, i) => ({
      tenant: caller.tenant,
      epochs: epochs.length,
      states,
      unsaid,
      isRightAtRest: right[i]!,
    })),
    changes,
    deletions,
    kills: { cli: cliKills, workers: workerKills },
    serving,
    audits,
    answers,
    latencyMs: { p50: quantile(0.5, latencies), p99: quantile(0.99, latencies), most: quantile(1, latencies) },
    comparison,
    phases,
  }
}

interface Opened extends Caller {
  more(): Promise<Client>
  close(): Promise<void>
}

/** Each tenant by a key of its own, through one gateway. */
async function openCallers(platform: Platform, tenants: readonly string[]): Promise<Opened[]> {
  const gateway = await platform.gateway([await platform.query(signed)])
  const opened: Opened[] = []
  for (const tenant of tenants) {
    const command = platform.freshet(
      'keys',
      'create',
      'r',
      '--tenant',
      tenant,
      '--scopes',
      'search,publish,subscribe',
      '--json',
    )
    await command.ended
    const { apiKey } = JSON.parse(command.log()) as { apiKey: string }
    const clients: Client[] = []
    const more = async (): Promise<Client> => {
      const client = await connect(gateway.url, { apiKey })
      clients.push(client)
      return client
    }
    const known = () => more().then(() => true as const, reasonOf)
    // A key that is not known yet is a guess to the gateway, which takes few of them.
    await until('the gateway knows the key', known, 20_000, 400)
    const close = async () => void (await Promise.allSettled(clients.map((client) => client.close())))
    opened.push({ tenant, client: clients[0]!, more, close })
  }
  return opened
}

/** Each question is the first words of a document, and that one is judged to be relevant, where nothing has changed it. */
async function compare(texts: Parameters<typeof questions>[0], dataDir: string, platform: Platform): Promise<unknown> {
  const own = texts.flatMap((text, i) => (i % 3 === 2 ? [] : [{ text, i }]))
  const some = own.filter((_, j) => j % Math.ceil(own.length / COMPARED) === 0)
  const asked = questions(
    some.map(({ text }) => text),
    some.length,
  )
  const file = join(dataDir, 'questions.jsonl')
  writeFileSync(file, some.map(({ i }, j) => JSON.stringify({ query: asked[j], relevant: [`d${i}`] })).join('\n'))
  const command = platform.freshet('models', 'compare', '--queries', file, '--json')
  await command.ended
  const log = command.log()
  try {
    return JSON.parse(log.slice(log.indexOf('{\n')))
  } catch {
    return log.slice(-2_000)
  }
}

/** What a command says before a step. */
const KILLS: Record<string, readonly { says: string; worker: boolean }[]> = {
  rollout: [
    { says: 'is the space of', worker: false },
    { says: 'is filled with what', worker: false },
    { says: 'positions left', worker: true },
    { says: 'comparing', worker: false },
  ],
  promote: [{ says: 'stays behind', worker: true }],
  rollback: [{ says: 'stays behind', worker: true }],
}
const CANARY_TENANT = 'beta'
const COMPARED = 200
const FILL_MS_MAX = 3_600_000
const SETTLED_MS_MAX = 20_000
const SILENT = { info() {}, warn() {}, error() {} } as Parameters<typeof createEngine>[0]['log']
/** The limits of callers are tested elsewhere. */
const UNBOUND = Object.fromEntries(
  ['REQUESTS_PER_SECOND', 'EMBEDDED_TOKENS_PER_MINUTE', 'TENANT_BYTES_PER_SECOND'].map((name) => [
    `FRESHET_${name}`,
    '1000000000',
  ]),
)
