import { setTimeout as delay } from 'node:timers/promises'
import { Pool } from 'undici'
import { freePort, startProcess, type TestProcess } from '../test/process.ts'
import type { BenchContext } from './bench.ts'
import { startNginx } from './nginx.ts'
import { type Figure, percentile } from './report.ts'
import { usageOf } from './usage.ts'

/**
 * What the gateway adds to a request, beside what NGINX adds to the same one, and the least that Node can: the service alone, and behind each, in turn.
 * Then how near to its limit a key is admitted that asks as often as it can.
 */
export async function gateway({ rounds, stack, say }: BenchContext): Promise<Figure[]> {
  const upstream = await freePort()
  await using _service = await started('upstream', ['bench/upstream.ts', String(upstream)], upstream)
  await using door = await openGateway(stack, upstream)
  const key = await door.key('100000')
  const nginxPort = await freePort()
  await using nginx = await startNginx(nginxPort, upstream, key)
  await nginx.ready(() => answers(nginxPort))
  const barePort = await freePort()
  await using _bare = await started('bare proxy', ['bench/bare-proxy.ts', String(barePort), String(upstream)], barePort)
  const ports: Record<Side, number> = { alone: upstream, nginx: nginxPort, bare: barePort, gateway: door.port }
  const pools = Object.fromEntries(
    sides.map((side) => [side, new Pool(`http://127.0.0.1:${ports[side]}`, { connections: CONNECTIONS })]),
  ) as Record<Side, Pool>
  const ask = (side: Side) => search(pools[side], key)

  for (const side of sides) for (let i = 0; i < WARM_UP; i++) await ask(side)
  const quantiles = empty<Record<50 | 99, number[]>>(() => ({ 50: [], 99: [] }))
  const perSecond = empty<number[]>(() => [])
  for (let round = 0; round < rounds; round++) {
    const samples = empty<number[]>(() => [])
    // In short turns: what else the machine does meets all sides.
    for (let turn = 0; turn < TURNS; turn++)
      for (const side of rotated(turn))
        for (let i = 0; i < SAMPLES / TURNS; i++) {
          const began = performance.now()
          await ask(side)
          samples[side].push(performance.now() - began)
        }
    for (const side of sides)
      for (const percent of [50, 99] as const) quantiles[side][percent].push(percentile(samples[side], percent))
    for (const side of rotated(round)) perSecond[side].push(await throughput(() => ask(side)))
    const shown = sides.map((side) => `${side} ${percentile(samples[side], 50).toFixed(3)} ms`)
    say(`round ${round + 1}: p50 ${shown.join(', ')}`)
  }
  const cpu = await cpuPerRequest(door.process.pid, () => ask('gateway'))
  await Promise.all(Object.values(pools).map((pool) => pool.close()))

  const off: number[] = []
  for (let round = 0; round < rounds; round++) off.push(await offTheLimit(door.port, await door.key(String(LIMIT))))
  const added = (side: Side, percent: 50 | 99) =>
    quantiles[side][percent].map((ms, i) => ms - quantiles.alone[percent][i]!)
  const ratio = (to: Side, percent: 50 | 99) => added('gateway', percent).map((ms, i) => ms / added(to, percent)[i]!)
  return [
    ...([50, 99] as const).flatMap((percent) => [
      { name: `the service alone, p${percent}`, unit: 'ms', values: quantiles.alone[percent] },
      { name: `NGINX adds, p${percent}`, unit: 'ms', values: added('nginx', percent) },
      { name: `the least on Node adds, p${percent}`, unit: 'ms', values: added('bare', percent) },
      { name: `the gateway adds, p${percent}`, unit: 'ms', values: added('gateway', percent) },
      { name: `the gateway ÷ NGINX, p${percent}`, unit: '', values: ratio('nginx', percent), aim: { below: 2 } },
      { name: `the gateway ÷ the least on Node, p${percent}`, unit: '', values: ratio('bare', percent) },
    ]),
    ...sides.map((side) => ({ name: `${side}, ${CONNECTIONS} at a time`, unit: 'per s', values: perSecond[side] })),
    { name: 'CPU of the gateway for a request', unit: 'ms', values: [cpu] },
    { name: 'admitted at full speed, off the limit', unit: '%', values: off, aim: { below: 5 } },
  ]
}

const sides = ['alone', 'nginx', 'bare', 'gateway'] as const
type Side = (typeof sides)[number]

const empty = <T>(make: () => T): Record<Side, T> => ({ alone: make(), nginx: make(), bare: make(), gateway: make() })
const rotated = (by: number): readonly Side[] => [
  ...sides.slice(by % sides.length),
  ...sides.slice(0, by % sides.length),
]

async function search(pool: Pool, key: string): Promise<number> {
  const { statusCode, body } = await pool.request({
    path: '/v1/search',
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body: BODY,
  })
  await body.arrayBuffer()
  if (statusCode !== 200 && statusCode !== 429) throw new Error(`a search was answered ${statusCode}`)
  return statusCode
}

async function throughput(ask: () => Promise<unknown>): Promise<number> {
  const until = performance.now() + SECONDS * 1_000
  let count = 0
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (; performance.now() < until; count++) await ask()
    }),
  )
  return count / SECONDS
}

async function cpuPerRequest(pid: number, ask: () => Promise<unknown>): Promise<number> {
  const before = usageOf(pid).cpuS
  for (let i = 0; i < SAMPLES; i++) await ask()
  return ((usageOf(pid).cpuS - before) * 1_000) / SAMPLES
}

/** A key that asks as often as it can: how far from its limit what was admitted is, in percent. */
async function offTheLimit(port: number, key: string): Promise<number> {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 8 })
  const began = performance.now()
  const until = began + LIMIT_SECONDS * 1_000
  let admitted = 0
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (performance.now() < until) if ((await search(pool, key)) === 200) admitted++
    }),
  )
  const seconds = (performance.now() - began) / 1_000
  await pool.close()
  // Twice as many at once, as a key is admitted.
  return Math.abs(100 * (admitted / (2 * LIMIT + LIMIT * seconds) - 1))
}

async function openGateway(stack: BenchContext['stack'], upstream: number) {
  const [port, adminPort] = [await freePort(), await freePort()]
  const env = {
    FRESHET_PORT_BASE: String(stack.ports.kafka - 92),
    FRESHET_TOPIC_PREFIX: `bench-${process.pid}-gateway.`,
    FRESHET_GATEWAY_PORT: String(port),
    FRESHET_GATEWAY_ADMIN_PORT: String(adminPort),
    FRESHET_QUERY_UPSTREAMS: `http://127.0.0.1:${upstream}`,
    FRESHET_INTERNAL_SECRET: 'f'.repeat(40),
    FRESHET_ADMIN_UPSTREAMS: `http://127.0.0.1:${upstream}`,
  }
  const key = async (requestsPerSecond: string): Promise<string> => {
    const args = ['cli/main.ts', 'keys', 'create', 'bench', '--json', '--requests-per-second', requestsPerSecond]
    const command = startProcess('freshet', process.execPath, args, { env })
    await command.ended
    // The gateway hears of it.
    await delay(KNOWN_MS)
    return (JSON.parse(command.log()) as { apiKey: string }).apiKey
  }
  await key('1')
  const own = startProcess('gateway', process.execPath, ['services/main.ts', 'gateway'], { env })
  await own.ready(() => answers(adminPort, '/health/ready'))
  return { process: own, port, key, [Symbol.asyncDispose]: () => own[Symbol.asyncDispose]() }
}

async function started(name: string, args: readonly string[], port: number): Promise<TestProcess> {
  const own = startProcess(name, process.execPath, args)
  await own.ready(() => answers(port))
  return own
}

async function answers(port: number, path = '/'): Promise<void> {
  const { status } = await fetch(`http://127.0.0.1:${port}${path}`)
  if (path !== '/' && status !== 200) throw new Error(`${path} is answered ${status}`)
}

const BODY = JSON.stringify({ query: 'how long do I have to send something back', k: 10 })
const WARM_UP = 3_000
const SAMPLES = 3_000
const TURNS = 60
const CONNECTIONS = 16
const SECONDS = 3
const LIMIT = 100
const LIMIT_SECONDS = 5
const KNOWN_MS = 1_000
