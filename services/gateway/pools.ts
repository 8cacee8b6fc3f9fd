import { setTimeout as delay } from 'node:timers/promises'
import { Pool } from 'undici'
import { Upstreams } from './upstreams.ts'

/** The instances of one role with their connections, and the checks that say which of them are well. */
export interface Pools {
  readonly upstreams: Upstreams
  pool(origin: string): Pool
  close(): Promise<void>
}

export interface PoolOptions {
  readonly answerMs: number
  /** Told each change of an instance's health. */
  checked(origin: string, healthy: boolean): void
}

export function openPools(role: string, origins: readonly string[], { answerMs, checked }: PoolOptions): Pools {
  const upstreams = new Upstreams(role, origins)
  const pools = new Map(
    origins.map((origin) => [
      origin,
      new Pool(origin, {
        connections: CONNECTIONS_MAX,
        connectTimeout: CONNECT_MS,
        headersTimeout: answerMs,
        // An answer may be a stream of events, between which there is nothing.
        bodyTimeout: 0,
        keepAliveTimeout: KEEP_ALIVE_MS,
      }),
    ]),
  )
  const check = async (origin: string): Promise<boolean> => {
    const healthy = await pools
      .get(origin)!
      .request({ path: '/health', method: 'GET', headersTimeout: CHECK_MS, bodyTimeout: CHECK_MS })
      .then(async ({ statusCode, body }) => {
        await body.dump()
        return statusCode < 500
      })
      .catch(() => false)
    const before = upstreams.instances.find((each) => each.origin === origin)!.healthy
    upstreams.checked(origin, healthy)
    if (before !== healthy) checked(origin, healthy)
    return healthy
  }
  const stop = new AbortController()
  const follow = async (origin: string): Promise<void> => {
    while (!stop.signal.aborted) {
      const healthy = await check(origin)
      // One that is starting is to be there soon.
      await delay(healthy ? CHECK_EVERY_MS : CHECK_AGAIN_MS, undefined, { signal: stop.signal, ref: false }).catch(
        () => {},
      )
    }
  }
  for (const origin of origins) void follow(origin)
  return {
    upstreams,
    pool: (origin) => pools.get(origin)!,
    async close() {
      stop.abort()
      await Promise.all([...pools.values()].map((pool) => pool.destroy()))
    },
  }
}

const CONNECTIONS_MAX = 128
const CONNECT_MS = 2_000
const KEEP_ALIVE_MS = 30_000
const CHECK_EVERY_MS = 1_000
const CHECK_AGAIN_MS = 200
const CHECK_MS = 2_000
