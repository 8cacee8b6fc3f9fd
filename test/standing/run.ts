import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { wholeTenant } from '../../services/principal.ts'
import { type Operation, perform } from '../../services/query/operations.ts'
import { clientMessage, OperationError } from '../../services/query/protocol.ts'
import type { SearchResult } from '../../services/query/searching.ts'
import { followChanges } from '../../services/query/standing/changes.ts'
import { StandingQueries } from '../../services/query/standing/standing-queries.ts'
import { random } from '../random.ts'
import { memoryTenants } from '../tenancy/memory-tenants.ts'
import { FollowingClient } from './client.ts'
import { RandomChanges } from './random-changes.ts'

export interface StandingRun {
  /** What a client had that a fresh exact search had not, or the other way round. */
  readonly differences: readonly string[]
  readonly compared: number
  readonly counts: Readonly<Record<string, number>>
  readonly evaluations: Readonly<Record<string, number>>
}

export interface StandingRunOptions {
  readonly seed: number
  readonly changes: number
  readonly subscriptions?: number
  /** Changes that are kept from the standing queries, as if they had been overlooked: a fault that must be found. */
  readonly overlooked?: number
}

/** Documents change at random, and now and then all is let come to rest: then each client must have what a fresh exact search finds. */
export async function runStanding({
  seed,
  changes,
  subscriptions = 24,
  overlooked = 0,
}: StandingRunOptions): Promise<StandingRun> {
  await using world = await memoryTenants()
  const { driver, ports, partitions } = world
  const { clock } = driver
  const next = random(seed)
  const chance = new RandomChanges(next)
  const evaluations: Record<string, number> = {}
  const standing = new StandingQueries({
    ...ports,
    serving: { now: () => ports.serving.of(null), sync: ports.serving.sync },
    engine: ports.serving.of(null).engine,
    clock,
    standingMax: 1_000,
    // Not once in a run: what is overlooked would be found again.
    renewMs: Number.POSITIVE_INFINITY,
    evaluated(why) {
      evaluations[why] = (evaluations[why] ?? 0) + 1
    },
  })
  const heard = {
    wanted: (tenant: string) => standing.wanted(tenant),
    changed: (document: Parameters<StandingQueries['changed']>[0]) =>
      next() < overlooked ? undefined : standing.changed(document),
    moved: () => standing.moved(),
    unknown: () => standing.unknown(),
    replaced: () => standing.replaced(),
  }
  const failed = (error: Error) => {
    throw error
  }
  const following = await followChanges(driver as never, partitions, heard, failed)
  ports.freshness.progressed(following.progressed)
  const pause = async () => {
    for (let i = next() < 0.2 ? 40 : 2; i > 0; i--) await turn()
  }
  const subscribePorts = { standing, clock, quotas: ports.quotas }
  const subscribed = () => {
    const by = { ...wholeTenant('acme', 'key:reader'), groups: chance.groups() }
    return new FollowingClient(chance.subscription(), by, subscribePorts, pause)
  }
  const clients = Array.from({ length: subscriptions }, subscribed)
  const left: FollowingClient[] = []
  const writer = wholeTenant('acme', 'key:writer')
  const differences: string[] = []
  let compared = 0
  const signal = new AbortController().signal
  const asked = (message: object, by = writer) =>
    perform(clientMessage.parse(message) as Operation, by, ports, { signal })

  const rest = async (): Promise<void> => {
    await world.settle()
    for (let quiet = 0; quiet < 3; ) {
      await driver.advance(1_000)
      for (let i = 0; i < 60; i++) await turn()
      quiet = standing.behind === 0 ? quiet + 1 : 0
    }
  }
  const compare = async (): Promise<void> => {
    for (const [i, client] of clients.entries()) {
      const { minIntervalMs: _, resume: _resume, ...wish } = client.message
      const fresh = await asked({ ...wish, type: 'search', exact: true }, client.principal).catch((error) => error)
      if (fresh instanceof OperationError) {
        if (client.failure?.code !== fresh.code)
          differences.push(
            `seed ${seed}, ${JSON.stringify(wish)}: ${client.failure?.code ?? 'stands'}, and a search says ${fresh.code}`,
          )
        clients[i] = subscribed()
        continue
      }
      if (client.failure !== null) {
        // It was ended since its document was gone, which has come back meanwhile.
        clients[i] = subscribed()
        continue
      }
      compared++
      const { hits } = fresh as SearchResult
      if (!isDeepStrictEqual(client.hits, hits))
        differences.push(
          `seed ${seed}, ${JSON.stringify(wish)}: has ${client.hits.map(({ hitId }) => hitId)}, and a search finds ${hits.map(({ hitId }) => hitId)}`,
        )
    }
  }

  for (let i = 1; i <= changes; i++) {
    await asked({ type: 'publish', id: 'p', documents: chance.documents() })
    if (next() < 0.3) await driver.advance(50)
    if (next() < 0.02) {
      const [client] = clients.splice(Math.floor(next() * clients.length), 1)
      await client!.disconnect()
      left.push(client!)
    }
    if (next() < 0.03 && left.length > 0) {
      const client = left.pop()!
      client.connect()
      clients.push(client)
    }
    if (i % 25 === 0 || i === changes) {
      await rest()
      await compare()
    }
  }
  const counts: Record<string, number> = {}
  for (const client of [...clients, ...left])
    for (const [name, count] of Object.entries(client.counts)) counts[name] = (counts[name] ?? 0) + count
  standing.close()
  await Promise.all([...clients, ...left].map((client) => client.disconnect()))
  await following.close()
  return { differences, compared, counts, evaluations }
}
