import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { reasonOf } from '../../streams/errors.ts'
import { canaries, canaryOf } from './canaries.ts'
import { material } from './material.ts'
import { modelSeeds } from './protocol-model-runs.ts'
import { type Row, sumOf } from './seeds.ts'
import { shrink } from './shrink.ts'
import { simulate } from './simulation.ts'
import { inWords, storyOf } from './story.ts'

const USAGE = `npm run simulate -- --seeds N [--from S] [--jobs J] [--canary NAME] [--model] [--json]
npm run simulate -- --seed S [--trace] [--canary NAME]      one seed again; where it breaks a promise, the smallest story

canaries:
${canaries.map(({ name, about }) => `  ${name.padEnd(28)} ${about}`).join('\n')}`

const SEEDS_OF_A_ROW = 100
const SHOWN_MAX = 20

/** What `npm run simulate` runs. The exit code is 0 only if every promise held. */
try {
  process.exitCode = await main()
} catch (error) {
  console.error(reasonOf(error))
  process.exitCode = 2
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      seed: { type: 'string' },
      canary: { type: 'string' },
      trace: { type: 'boolean', default: false },
      model: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const canary = values.canary === undefined ? null : canaryOf(values.canary).name
  if (values.seed !== undefined) return oneSeed(wholeNumber('seed', values.seed), canary, values.trace)
  const from = wholeNumber('from', values.from)
  const seeds = wholeNumber('seeds', values.seeds)
  if (values.model) return theModel(from, seeds, values.json)
  return manySeeds({ from, seeds, jobs: wholeNumber('jobs', values.jobs), canary, json: values.json })
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0 && text.trim() !== '') return value
  throw new Error(`--${name} ${text}: must be a whole number; try --help`)
}

async function oneSeed(seed: number, canary: string | null, trace: boolean): Promise<number> {
  const shared = await material()
  const planted = canary === null ? {} : canaryOf(canary)
  const told = trace ? (line: string) => console.log(line) : null
  const { broken, counts } = await simulate(storyOf(seed), shared, { planted, told })
  console.log(`seed ${seed}: ${broken === null ? 'every promise held' : broken.message}`)
  if (broken === null) {
    console.log(counts)
    return 0
  }
  const small = await shrink(storyOf(seed), broken.promise, shared, planted)
  const again = await simulate(small, shared, { planted })
  console.log(
    `\nthe smallest story (${small.events.length} of ${storyOf(seed).events.length} events) in ${JSON.stringify(small.setting)}:`,
  )
  for (const event of small.events) console.log(`  ${inWords(event)}`)
  console.log(`then: ${again.broken?.message}`)
  if (trace) {
    console.log('\nthe smallest story, step by step:')
    await simulate(small, shared, { planted, told })
  }
  return 1
}

interface Many {
  readonly from: number
  readonly seeds: number
  readonly jobs: number
  readonly canary: string | null
  readonly json: boolean
}

async function manySeeds({ from, seeds, jobs, canary, json }: Many): Promise<number> {
  const began = performance.now()
  const rows: Row[] = []
  let next = from
  const end = from + seeds
  const perSecond = () => Math.round((sumOf(rows).seeds / (performance.now() - began)) * 1_000)
  await Promise.all(
    Array.from({ length: Math.max(1, jobs) }, async () => {
      const thread = new Worker(new URL('./seeds-worker.ts', import.meta.url))
      while (next < end) {
        const row = { from: next, seeds: Math.min(SEEDS_OF_A_ROW, end - next), canary }
        next += row.seeds
        rows.push(await answerOf(thread, row))
        if (!json && process.stderr.isTTY)
          process.stderr.write(`\r${sumOf(rows).seeds} of ${seeds} seeds, ${perSecond()} a second `)
      }
      await thread.terminate()
    }),
  )
  if (!json && process.stderr.isTTY) process.stderr.write('\n')
  const { broken, totals } = sumOf(rows)
  const seconds = Math.round((performance.now() - began) / 1_000)
  if (json) console.log(JSON.stringify({ from, seeds, canary, seconds, broken, totals }))
  else {
    console.log(`seeds ${from} to ${end - 1}: ${broken.length} broke a promise; ${perSecond()} a second, ${seconds} s`)
    for (const [name, count] of Object.entries(totals)) console.log(`  ${name.padEnd(20)} ${count}`)
    for (const { seed, message } of broken.slice(0, SHOWN_MAX))
      console.log(
        `  seed ${seed}: ${message}\n    npm run simulate -- --seed ${seed}${canary === null ? '' : ` --canary ${canary}`} --trace`,
      )
  }
  return broken.length === 0 ? 0 : 1
}

function answerOf(thread: Worker, row: object): Promise<Row> {
  return new Promise((resolve, reject) => {
    thread.once('message', (answer) => {
      thread.off('error', reject)
      resolve(answer)
    })
    thread.once('error', reject)
    thread.postMessage(row)
  })
}

function theModel(from: number, seeds: number, json: boolean): number {
  const { broken, garbage } = modelSeeds({ from, seeds })
  if (json) console.log(JSON.stringify({ from, seeds, broken, garbage }))
  else {
    console.log(
      `the protocol's model, seeds ${from} to ${from + seeds - 1}: ${broken.length} broke a promise, ${garbage} left garbage`,
    )
    for (const { seed, message } of broken.slice(0, SHOWN_MAX)) console.log(`  seed ${seed}: ${message}`)
  }
  return broken.length === 0 ? 0 : 1
}
