import { availableParallelism } from 'node:os'
import { repositoryDir } from '../infra/local/settings.ts'
import { loadConfig, platformConfig, rolePorts } from '../services/config.ts'
import { startProcess } from '../test/process.ts'

/**
 * The inference service by itself: how much of its CPU is the model, how long somebody waits while bulk fills the cores, with priorities and
 * without, and what it does with four times what it can: `FRESHET_PORT_BASE=30000 node bench/inference.ts`. Prints JSON.
 */
const seconds = Number(process.argv[2] ?? 8)
const config = loadConfig(platformConfig, { env: process.env })
const ports = rolePorts(config)
const url = `http://127.0.0.1:${ports.inference}/v1/embeddings`
const text =
  'A consumer commits the offsets of what it has read, so that after a rebalance the next owner goes on from there. '.repeat(
    3,
  )

const service = startProcess('inference', process.execPath, ['services/main.ts', 'inference'], {
  cwd: repositoryDir,
  env: { ...process.env, FRESHET_LOG_LEVEL: 'warn', FRESHET_INFERENCE_QUEUE_TEXTS_MAX: '64' },
})
try {
  await ready()
  await flood(1_000, 2 * availableParallelism(), 4)
  const [cpuBefore, computeBefore] = await usage()
  const capacity = await flood(seconds * 1_000, 2 * availableParallelism(), 8)
  const [cpuAfter, computeAfter] = await usage()
  const idle = await questions(2_000, 'interactive')
  const withPriorities = await beside('interactive')
  const without = await beside('bulk')
  const single = await flood(seconds * 1_000, 8, 1)
  const overload = await openLoop(4 * single.textsPerSecond, seconds * 1_000)
  console.log(
    JSON.stringify(
      {
        cores: availableParallelism(),
        textsPerSecond: { eightTogether: round(capacity.textsPerSecond), oneByOne: round(single.textsPerSecond) },
        cpuInsideModel: round((computeAfter - computeBefore) / (cpuAfter - cpuBefore), 3),
        interactiveMs: { idle, whileBulk: withPriorities, whileBulkWithoutPriorities: without },
        overload: { ...overload, goodput: round(overload.answeredPerSecond / single.textsPerSecond, 3) },
      },
      null,
      2,
    ),
  )
} finally {
  await service[Symbol.asyncDispose]()
}

async function beside(priority: 'interactive' | 'bulk') {
  const stop = new AbortController()
  const bulk = flood(60_000, 2 * availableParallelism(), 8, stop.signal)
  const found = await questions(seconds * 1_000, priority)
  stop.abort()
  await bulk
  return found
}

/** One after the other, as somebody who types. */
async function questions(ms: number, priority: 'interactive' | 'bulk') {
  const took: number[] = []
  for (const until = performance.now() + ms; performance.now() < until; ) {
    const began = performance.now()
    await ask(['who commits offsets?'], { 'x-freshet-priority': priority })
    took.push(performance.now() - began)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return quantiles(took)
}

/** So many callers, each with its next request when the last is answered. */
async function flood(ms: number, callers: number, texts: number, signal?: AbortSignal) {
  const began = performance.now()
  let answered = 0
  const one = async () => {
    while (performance.now() - began < ms && !signal?.aborted)
      if ((await ask(Array.from({ length: texts }, () => text))) === 200) answered += texts
  }
  await Promise.all(Array.from({ length: callers }, one))
  return { textsPerSecond: answered / ((performance.now() - began) / 1_000) }
}

/** Requests come when they come, whoever waits. */
async function openLoop(perSecond: number, ms: number) {
  const began = performance.now()
  const under: Promise<void>[] = []
  const [answeredMs, refusedMs]: [number[], number[]] = [[], []]
  for (let sent = 0; performance.now() - began < ms; ) {
    for (const due = ((performance.now() - began) / 1_000) * perSecond; sent < due; sent++) {
      const at = performance.now()
      under.push(
        ask([text]).then((status) => void (status === 200 ? answeredMs : refusedMs).push(performance.now() - at)),
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const inTime = answeredMs.length
  const answeredPerSecond = inTime / ((performance.now() - began) / 1_000)
  await Promise.all(under)
  return {
    offeredPerSecond: round(perSecond),
    answeredPerSecond: round(answeredPerSecond),
    answeredMs: quantiles(answeredMs),
    refusedMs: quantiles(refusedMs),
    refused: refusedMs.length,
  }
}

async function ask(input: readonly string[], headers: Record<string, string> = {}): Promise<number> {
  const body = JSON.stringify({ model: 'all-minilm-l6-v2-q', input, encoding_format: 'base64' })
  const response = await fetch(url, { method: 'POST', body, headers })
  await response.arrayBuffer()
  return response.status
}

/** CPU of the process, and inside the model, s. */
async function usage(): Promise<[number, number]> {
  const text = await (await fetch(`http://127.0.0.1:${ports.inferenceAdmin}/metrics`)).text()
  const sum = (name: string) =>
    text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`))
      .reduce((all, line) => all + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  return [sum('process_cpu_seconds_total'), sum('freshet_inference_compute_seconds_sum')]
}

async function ready(): Promise<void> {
  for (const until = performance.now() + 30_000; performance.now() < until; ) {
    const answer = await fetch(`http://127.0.0.1:${ports.inferenceAdmin}/health/ready`).catch(() => null)
    if (answer?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the inference service is not ready after 30 s')
}

function quantiles(values: number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (q: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN)
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) }
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits))
}
