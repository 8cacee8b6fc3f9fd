import { Command } from 'commander'
import { positionsOf, tokenOf } from '../search/freshness.ts'
import { loadConfig, queryConfig, rolePorts, workerConfig } from '../services/config.ts'
import { logStatus } from '../services/log-status.ts'
import type { StateReport } from '../services/named-states.ts'
import type { Outside } from '../services/outside.ts'
import { sourcesOf } from '../services/sources.ts'
import { reasonOf } from '../streams/errors.ts'
import { connectClient, socketUrl } from './connection.ts'
import { withOutside, withSomeOutside } from './outside.ts'

export function status(): Command {
  return new Command('status')
    .description('Shows roles, topics, lag, freshness and counts.')
    .option('--json', 'as JSON, with the URL of each role')
    .addHelpText('after', '\nExample: freshet status --json')
    .action(async ({ json }: { json?: true }) => {
      const state = await stateOf()
      if (json) console.log(JSON.stringify(state, null, 2))
      else print(state)
      if (state.roles.some(({ state }) => state !== 'ready') || typeof state.kafka === 'string') process.exitCode = 1
    })
}

interface State {
  readonly roles: readonly { role: string; url: string; admin: string; state: string; states: readonly StateReport[] }[]
  /** Of every topic and stage; or why Kafka does not say. */
  readonly kafka: Awaited<ReturnType<typeof logStatus>> | string
  readonly freshness: { staleMs: number; ingestStaleMs: number; complete: boolean } | string
  readonly index: { url: string; collections: { name: string; points: number }[] } | string
}

interface Health {
  readonly status: string
  readonly missing?: readonly string[]
  readonly states?: readonly StateReport[]
}

async function stateOf(): Promise<State> {
  const config = { ...loadConfig(workerConfig, { env: process.env }), ...loadConfig(queryConfig, { env: process.env }) }
  const ports = rolePorts(config)
  const roles = [
    { role: 'gateway', url: socketUrl(), admin: `http://127.0.0.1:${ports.gatewayAdmin}` },
    { role: 'query', url: `http://127.0.0.1:${ports.query}`, admin: `http://127.0.0.1:${ports.queryAdmin}` },
    { role: 'admin', url: `http://127.0.0.1:${ports.admin}`, admin: `http://127.0.0.1:${ports.adminMetrics}` },
    {
      role: 'worker',
      url: `http://127.0.0.1:${ports.worker}`,
      admin: `http://127.0.0.1:${ports.worker}`,
    },
  ]
  const [states, kafka, freshness, index] = await Promise.all([
    Promise.all(roles.map(async (role) => ({ ...role, ...(await health(role.admin)) }))),
    withOutside((outside) => logStatus(outside, config.topicPrefix, sourcesOf(config))).catch(reasonOf),
    freshnessNow().catch(reasonOf),
    withSomeOutside(indexNow).catch(reasonOf),
  ])
  return { roles: states, kafka, freshness, index }
}

/** Whether a role is ready, and the named states that it is in. */
async function health(admin: string): Promise<{ state: string; states: readonly StateReport[] }> {
  try {
    const response = await fetch(`${admin}/health/ready`, { signal: AbortSignal.timeout(2_000) })
    const { status, missing, states = [] } = (await response.json()) as Health
    return { state: missing ? `${status}: ${missing.join(', ')}` : status, states }
  } catch {
    return { state: 'not running', states: [] }
  }
}

async function freshnessNow(): Promise<{ staleMs: number; ingestStaleMs: number; complete: boolean }> {
  const client = await connectClient(2_000)
  try {
    // A token of the server's epoch that asks for nothing.
    const nothing = tokenOf({ epoch: positionsOf(client.token)?.epoch ?? 0, documents: {} })
    const { staleMs, ingestStaleMs, complete } = (await client.wait(nothing, { timeoutMs: 0 })).asOf
    return { staleMs, ingestStaleMs, complete }
  } finally {
    await client.close()
  }
}

async function indexNow(outside: Outside): Promise<{ url: string; collections: { name: string; points: number }[] }> {
  const { url, collections, points, read } = outside.qdrant({ timeoutMs: 3_000 })
  const listed = await read('collections', (options) => collections.list({}, options))
  const rows = await Promise.all(
    listed.collections.map(async ({ name }) => {
      const { result } = await read('a count', (options) =>
        points.count({ collectionName: name, exact: true }, options),
      )
      return { name, points: Number(result?.count ?? 0) }
    }),
  )
  return { url, collections: rows }
}

function print({ roles, kafka, freshness, index }: State): void {
  for (const { role, url, state } of roles) console.log(`${role.padEnd(10)} ${state.padEnd(12)} ${url}`)
  for (const { role, states } of roles)
    for (const { name, subject, since, detail, advice } of states)
      console.log(`state      ${name} of ${role}, ${subject}, since ${since}: ${detail}\n           ${advice}`)
  console.log(
    typeof freshness === 'string'
      ? `freshness  ${freshness}`
      : `freshness  ${freshness.complete ? `${Math.round(freshness.staleMs)} ms behind` : 'not complete yet'}; sources ${Math.round(freshness.ingestStaleMs)} ms behind`,
  )
  if (typeof kafka === 'string') console.log(`kafka      ${kafka}`)
  else {
    for (const { model, collection, state } of kafka.models)
      console.log(`model      ${state.padEnd(10)} ${model} in ${collection}`)
    for (const { group, topic, lag } of kafka.stages)
      console.log(`lag        ${String(lag).padStart(8)}  ${group} on ${topic}`)
    for (const { name, partitions, offsets } of kafka.topics)
      console.log(`topic      ${String(offsets).padStart(8)}  ${name} (${partitions} partitions)`)
  }
  if (typeof index === 'string') console.log(`index      ${index}`)
  else
    for (const { name, points } of index.collections) {
      const serves = typeof kafka !== 'string' && kafka.serving.includes(name)
      console.log(`index      ${String(points).padStart(8)}  points in ${name}${serves ? ', which serves' : ''}`)
    }
}
