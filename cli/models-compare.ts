import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { pino } from 'pino'
import { z } from 'zod'
import { qdrantSearch, type SearchIndex } from '../connectors/qdrant/search.ts'
import type { Engine } from '../engine/embedder.ts'
import { candidateIn, type RolloutFacts } from '../maintenance/rollout.ts'
import { spaceOfCollection } from '../processors/collections.ts'
import { fenceText } from '../processors/fence.ts'
import { fuse } from '../search/fusion.ts'
import { meanOf, ndcgAt, overlapAt, quantile, recallAt } from '../search/judgement.ts'
import { addressesOf, loadConfig, queryConfig, rolePorts, type WorkerConfig, workerConfig } from '../services/config.ts'
import { configuredFor, openEngine } from '../services/engine.ts'
import type { Outside } from '../services/outside.ts'
import { type LiveFigures, liveFigures } from './models-live.ts'
import { withRollingOut } from './rolling-out.ts'

interface Flags {
  readonly queries: string
  readonly k: number
  readonly tenant?: string
  readonly json?: true
}

export function modelsCompare(): Command {
  return new Command('compare')
    .description(
      'Asks the model that answers and the one that is on its way the same questions, each compared with every chunk, and says how far they agree and what each costs.',
    )
    .requiredOption('--queries <file>', 'JSON lines: {"query":"…","relevant":["id",…]}, relevant where it is judged')
    .option('--k <number>', 'of each answer, so many documents', positive, 10)
    .option('--tenant <name>', 'whose documents; default: FRESHET_TENANT')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet models compare --queries questions.jsonl')
    .action((flags: Flags) =>
      withRollingOut(async (world) => {
        const config = loadConfig(workerConfig, { env: process.env })
        const questions = questionsIn(readFileSync(flags.queries, 'utf8'), flags.queries)
        const facts = await world.facts()
        const beside = candidateIn(facts) ?? formerIn(facts)
        if (beside === null)
          throw new Error(
            'only one model is kept; freshet models rollout NAME@VERSION brings another to compare it with',
          )
        const sides: Asked[] = []
        for (const collection of [facts.serving.collection, beside])
          sides.push(await ask(collection, questions, { config, facts, outside: world.outside, flags }))
        const live = await liveFigures(
          `http://127.0.0.1:${rolePorts(loadConfig(queryConfig, { env: process.env })).queryAdmin}/metrics`,
        )
        const report = reportOf(sides, questions, flags.k, live, config.embeddingPricePerThousand ?? null)
        console.log(flags.json ? JSON.stringify(report, null, 2) : linesOf(report).join('\n'))
      }),
    )
}

interface Question {
  readonly query: string
  readonly relevant?: readonly string[] | undefined
}

/** What one model answered, in the order of the questions. */
interface Asked {
  readonly model: string
  readonly collection: string
  /** Ids of documents, best first. */
  readonly answers: readonly (readonly string[])[]
  readonly embedMs: readonly number[]
  readonly searchMs: readonly number[]
  /** CPU inside the model. */
  readonly cpuMs: number
  readonly documents: number
  readonly chunks: number
  readonly dimensions: number
}

const questionSchema = z.strictObject({
  query: z.string().min(1),
  relevant: z.array(z.string().min(1)).min(1).optional(),
})

export function questionsIn(text: string, path: string): Question[] {
  const lines = text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [{ line, number: i + 1 }]))
  if (lines.length === 0) throw new Error(`${path} holds no question; write lines like {"query":"how do I …"}`)
  return lines.map(({ line, number }) => {
    try {
      return questionSchema.parse(JSON.parse(line))
    } catch (cause) {
      throw new Error(`${path}:${number}: is no question; write {"query":"…"} or {"query":"…","relevant":["id"]}`, {
        cause,
      })
    }
  })
}

const formerIn = ({ states, serving }: RolloutFacts): string | null =>
  [...states].find(([collection, { state }]) => state === 'following' && collection !== serving.collection)?.[0] ?? null

interface Asking {
  readonly config: WorkerConfig
  readonly facts: RolloutFacts
  readonly outside: Outside
  readonly flags: Flags
}

/** One model after the other, so that neither has less of the machine. */
async function ask(
  collection: string,
  questions: readonly Question[],
  { config, facts, outside, flags }: Asking,
): Promise<Asked> {
  const space = spaceOfCollection(collection, facts.prefix)!
  const model = facts.spaces.get(space)
  if (model === undefined)
    throw new Error(`control does not say which model ${space} is of; start a worker, which writes it down`)
  const engine = await openEngine(configuredFor(config, model), {
    workers: 1,
    models: addressesOf(config).models,
    queries: false,
    instance: 'compare',
    log: pino({ level: 'silent' }),
  })
  try {
    if (engine.space.id !== space)
      throw new Error(`${model.model}@${model.version} is of ${engine.space.id} here, and ${collection} of ${space}`)
    const { dimensions } = engine.space
    const index = qdrantSearch(outside.qdrant(), { collection, space, dimensions })
    const reader = { tenant: flags.tenant ?? config.tenant, groups: ['*'] }
    const { documents, chunks } = await index.count()
    const answers: string[][] = []
    const embedMs: number[] = []
    const searchMs: number[] = []
    // What is asked first takes longer, of whichever model.
    await engine.embed(['a question'], { as: 'document' })
    const before = engine.stats().runMs
    for (const { query } of questions) {
      const began = performance.now()
      const [dense] = await engine.embed([query], { as: 'query' })
      const embedded = performance.now()
      answers.push(await found(index, engine, query, dense!, reader, flags.k))
      embedMs.push(embedded - began)
      searchMs.push(performance.now() - embedded)
    }
    const cpuMs = engine.stats().runMs - before
    return {
      model: `${model.model}@${model.version}`,
      collection,
      answers,
      embedMs,
      searchMs,
      cpuMs,
      documents,
      chunks,
      dimensions,
    }
  } finally {
    await engine.close()
  }
}

/** As a search finds: both lists, fused, and of each document the present version alone. */
async function found(
  index: SearchIndex,
  engine: Engine,
  query: string,
  dense: Float32Array,
  reader: { readonly tenant: string; readonly groups: readonly string[] },
  k: number,
): Promise<string[]> {
  const terms = engine.queryTerms(query, null)
  const [lists] = await index.candidates([{ reader, dense, terms, filter: {}, window: WINDOW, exact: true }])
  const known = new Map([...lists!.dense, ...lists!.keyword].map((candidate) => [candidate.id, candidate]))
  const manifests = await index.manifests(reader, [...new Set([...known.values()].map(({ key }) => key))])
  const ranked = fuse({ dense: lists!.dense, keyword: lists!.keyword, k: known.size })
  const documents = ranked.flatMap(({ id }) => {
    const { key, fence } = known.get(id)!
    const manifest = manifests.get(key)
    const isServed = manifest?.content != null && !manifest.deleted && fenceText(manifest.content) === fence
    return isServed ? [key.slice(reader.tenant.length + 1)] : []
  })
  return [...new Set(documents)].slice(0, k)
}

/** Candidates of each kind: a search has no more. */
const WINDOW = 100

export interface Comparison {
  readonly questions: number
  readonly judged: number
  readonly k: number
  /** The share of documents that both have, over all questions. */
  readonly overlap: number | null
  readonly models: readonly ModelFigures[]
  /** Of live searches that were asked of both; null: none was. */
  readonly live: LiveFigures | null
}

interface ModelFigures {
  readonly model: string
  readonly collection: string
  readonly ndcg: number | null
  readonly recall: number | null
  readonly embedMs: { readonly p50: number; readonly p95: number }
  readonly searchMs: { readonly p50: number; readonly p95: number }
  readonly cpuMsPerQuery: number
  readonly documents: number
  readonly chunks: number
  /** Of the dense vectors alone. */
  readonly vectorBytes: number
  /** Of embedding all its chunks once; null: no price is configured. */
  readonly cost: number | null
}

export function reportOf(
  sides: readonly Asked[],
  questions: readonly Question[],
  k: number,
  live: LiveFigures | null,
  pricePerThousand: number | null,
): Comparison {
  const [first, second] = sides.map(({ answers }) => answers)
  const judged = questions.flatMap(({ relevant }, i) =>
    relevant === undefined ? [] : [{ i, relevant: new Set(relevant) }],
  )
  const percentiles = (values: readonly number[]) => ({ p50: quantile(0.5, values), p95: quantile(0.95, values) })
  return {
    questions: questions.length,
    judged: judged.length,
    k,
    overlap: meanOf(questions.map((_, i) => overlapAt(k, first![i]!, second![i]!))),
    models: sides.map(({ model, collection, answers, embedMs, searchMs, cpuMs, documents, chunks, dimensions }) => ({
      model,
      collection,
      ndcg: meanOf(judged.map(({ i, relevant }) => ndcgAt(k, answers[i]!, relevant))),
      recall: meanOf(judged.map(({ i, relevant }) => recallAt(k, answers[i]!, relevant))),
      embedMs: percentiles(embedMs),
      searchMs: percentiles(searchMs),
      cpuMsPerQuery: cpuMs / questions.length,
      documents,
      chunks,
      vectorBytes: chunks * dimensions * Float32Array.BYTES_PER_ELEMENT,
      cost: pricePerThousand === null ? null : (chunks / 1_000) * pricePerThousand,
    })),
    live,
  }
}

function linesOf({ questions, judged, k, overlap, models, live }: Comparison): string[] {
  const share = (value: number | null): string => (value === null ? '-' : value.toFixed(3))
  const ms = ({ p50, p95 }: { p50: number; p95: number }): string => `${p50.toFixed(1)} / ${p95.toFixed(1)} ms`
  return [
    `${questions} questions, ${judged} of them judged; overlap@${k} ${share(overlap)}`,
    ...models.flatMap((each) => [
      `${each.model}  (${each.collection})`,
      `  nDCG@${k} ${share(each.ndcg)}, recall@${k} ${share(each.recall)}`,
      `  embedding ${ms(each.embedMs)} (median / 95 of 100), ${each.cpuMsPerQuery.toFixed(1)} ms CPU a question; search ${ms(each.searchMs)}`,
      `  ${each.documents} documents in ${each.chunks} chunks, vectors ${(each.vectorBytes / 2 ** 20).toFixed(1)} MiB${each.cost === null ? '' : `; to embed them ${each.cost.toFixed(2)}`}`,
    ]),
    live === null
      ? 'of live searches none was asked of both yet'
      : `${live.searches} live searches were asked of both: overlap ${share(live.overlap)}`,
  ]
}

function positive(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 100)
    throw new InvalidArgumentError('give a number from 1 to 100.')
  return number
}
