import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { paragraphs, questions } from '../../bench/corpus.ts'
import type { Client } from '../../client/client.ts'
import { spaceOfCollection } from '../../processors/collections.ts'
import { quantile } from '../../search/judgement.ts'
import { reasonOf } from '../../streams/errors.ts'
import { atRest } from '../at-rest.ts'
import { openPlatform } from '../platform.ts'
import { random as randomOf } from '../random.ts'
import { until } from '../until.ts'

/**
 * A rollout from one model to another over real documents, while documents are changed and deleted and searches go on, then back:
 * `node test/rollout/main.ts --documents 3000 --searches 10000`. On the stack at FRESHET_PORT_BASE.
 */
const { values } = parseArgs({
  options: {
    documents: { type: 'string', default: '3000' },
    searches: { type: 'string', default: '10000' },
    engine: { type: 'string', default: 'model' },
    to: { type: 'string', default: 'bge-small-en-v1.5-q@1' },
    /** Changes a second, a fifth of them deletions. */
    changes: { type: 'string', default: '3' },
    seed: { type: 'string', default: '20261124' },
    out: { type: 'string' },
  },
})
const count = Number(values.documents)
const random = randomOf(Number(values.seed))
const texts = paragraphs(count)
const asked = questions(texts, 500)
/** Of one publish. */
const batchDocuments = 100
/** A machine that does other things too embeds a few documents a second. */
const fillMsMax = 3_600_000
const phases: Record<string, { seconds: number; searches: number }> = {}
const faults: string[] = []
const latencies: number[] = []
/** Which space answered, by phase. */
const answers: Record<string, Record<string, number>> = {}
let present = 'the first model is filled'
let searches = 0
let changes = 0

await using platform = await openPlatform({ engine: values.engine === 'hash' ? 'hash' : 'model' })
await platform.worker()
const query = await platform.query()
const [writer, reader] = [await platform.client(), await platform.client()]

await phase('the first model is filled', async () => {
  for (let i = 0; i < count; i += batchDocuments)
    await writer.publish(texts.slice(i, i + batchDocuments).map(({ text }, j) => ({ id: `d${i + j}`, text })))
  await atRest(platform, fillMsMax)
})
const old = await platform.serving()

const stopped = new AbortController()
const flows = [changing(writer), ...[0, 1].map(() => searching(reader))]
let young = old
try {
  await phase('rollout', () => freshet('models', 'rollout', values.to))
  await phase('canary', () => freshet('models', 'canary', '--percent', '50', '--by', 'subject'))
  await phase('promote', () => freshet('models', 'promote'))
  young = await platform.serving()
  await phase('searches on the new model', () => moreSearches(0.3))
  await phase('rollback', () => freshet('models', 'rollback'))
  await phase('searches on the former model', () => moreSearches(0.3))
} finally {
  stopped.abort()
  await Promise.all(flows)
}
const back = await platform.serving()
await atRest({ ...platform, collection: old }, fillMsMax)
await atRest({ ...platform, collection: young }, fillMsMax)
const audits = await Promise.all([old, young].map((collection) => audited(collection)))

const report = {
  documents: count,
  from: old,
  to: young,
  wasBackOn: back,
  searches,
  failed: faults.length,
  faults: faults.slice(0, 10),
  /** By space, as the query service counts them, with the sampled ones that were asked of both. */
  answered: { [old]: await answeredBy(old), [young]: await answeredBy(young) },
  answers,
  changes,
  latencyMs: { p50: quantile(0.5, latencies), p99: quantile(0.99, latencies), most: quantile(1, latencies) },
  inSync: audits,
  phases,
}
console.log(JSON.stringify(report, null, 2))
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`)
/** Where only one may answer, the other has answered nobody. */
const isTold =
  Object.keys(answers.rollout ?? {}).join() === spaceOfCollection(old, platform.scope.prefix) &&
  Object.keys(answers['searches on the new model'] ?? {}).join() === spaceOfCollection(young, platform.scope.prefix) &&
  Object.keys(answers['searches on the former model'] ?? {}).join() === spaceOfCollection(old, platform.scope.prefix)
const isGood =
  isTold &&
  faults.length === 0 &&
  audits.every((inSync) => inSync) &&
  old !== young &&
  back === old &&
  searches >= Number(values.searches)
process.exitCode = isGood ? 0 : 1

async function phase(name: string, work: () => Promise<void>): Promise<void> {
  const [began, before] = [performance.now(), searches]
  present = name
  await work()
  phases[name] = { seconds: Math.round((performance.now() - began) / 1_000), searches: searches - before }
  console.error(`${name}: ${JSON.stringify(phases[name])}`)
}

async function freshet(...args: string[]): Promise<void> {
  const command = platform.freshet(...args)
  const how = await command.ended
  if (how !== 'ended with exit code 0') throw new Error(`freshet ${args.join(' ')} ${how}:\n${command.log()}`)
}

async function audited(collection: string): Promise<boolean> {
  const command = platform.freshet('audit', '--collection', collection)
  const how = await command.ended
  if (how !== 'ended with exit code 0') console.error(command.log())
  return how === 'ended with exit code 0'
}

function answeredBy(collection: string): Promise<number> {
  const space = spaceOfCollection(collection, platform.scope.prefix)!
  return query.metric('freshet_search_seconds_count', { space, step: 'embed' })
}

/** Documents are replaced by others' texts, deleted, and come back. */
async function changing(client: Client): Promise<void> {
  while (!stopped.signal.aborted) {
    const id = `d${Math.floor(random() * count)}`
    const text = texts[Math.floor(random() * count)]!.text
    await client
      .publish([random() < 0.2 ? { id, delete: true } : { id, text }])
      .then(() => changes++)
      .catch((error) => faults.push(`a publish: ${reasonOf(error)}`))
    await delay(1_000 / Number(values.changes), undefined, { signal: stopped.signal }).catch(() => {})
  }
}

/** Nobody is refused, and nothing is empty. */
async function searching(client: Client): Promise<void> {
  while (!stopped.signal.aborted) {
    const began = performance.now()
    try {
      const during = present
      const answer = await client.search({ query: asked[Math.floor(random() * asked.length)]!, k: 10, explain: true })
      answers[during] ??= {}
      const counts = answers[during]
      counts[answer.space!] = (counts[answer.space!] ?? 0) + 1
      latencies.push(performance.now() - began)
      if (answer.hits.length === 0) faults.push('a search found nothing')
    } catch (error) {
      faults.push(`a search: ${reasonOf(error)}`)
    }
    searches++
  }
}

/** Beside those that there were before. */
async function moreSearches(share: number): Promise<void> {
  const wanted = searches + Number(values.searches) * share
  await until('enough searches', () => searches >= wanted || `${searches} of ${wanted}`, fillMsMax, 250)
}
