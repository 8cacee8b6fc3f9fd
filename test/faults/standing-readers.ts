import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import WebSocket from 'ws'
import { type AsOf, connect, type SearchHit, type SubscribeRequest } from '../../client/client.ts'
import type { Answer } from '../oracle/answers.ts'
import { answerOf } from '../oracle/reader.ts'
import { until } from '../until.ts'
import { StandingFollower, type Told } from './standing-follower.ts'

/** Clients that follow standing queries of every kind while faults happen, over whichever process serves their tenant. */
export interface StandingReaders {
  /** Each state that was told, for the oracle: it claims to have what its `asOf` says. */
  readonly answers: readonly Answer[]
  /** Of all followers. */
  readonly counts: Readonly<Record<string, number>>
  /** Compares each, at rest, with a fresh exact search; tells every fault once. */
  atRest(): Promise<StandingVerdict>
  stop(): Promise<void>
}

export interface StandingVerdict {
  readonly faults: readonly string[]
  readonly compared: number
}

const wishesOf = (tenant: string): readonly SubscribeRequest[] => [
  { query: `Revision of ${tenant}/documents-3, sentence of the load`, mode: 'dense', k: 10 },
  { query: `Revision of ${tenant}/inbox-4, sentence of the load`, mode: 'dense', k: 20, filter: { team: 'support' } },
  { query: 'The same again, sentence of the load', mode: 'dense', k: 5, groupBy: 'document' },
  { query: `Revision of ${tenant}/documents-11`, mode: 'dense', k: 40, scoreMin: 0.3 },
  { query: 'sentence of the load', k: 10 },
  { query: `Revision of ${tenant}/inbox-7`, k: 10, filter: { public: true }, groupBy: 'document' },
  { query: 'The same again', mode: 'keyword', k: 5 },
]

export function readStanding(url: () => string, tenant: string): StandingReaders {
  const answers: Answer[] = []
  const faults: string[] = []
  const stopped = new AbortController()
  const followers = wishesOf(tenant).map((wish, i) => ({ wish, id: String(i), follower: new StandingFollower() }))

  const follow = async (): Promise<void> => {
    let former: string | null = null
    while (!stopped.signal.aborted) {
      const at = url()
      const socket = new WebSocket(at, 'freshet.v1+json')
      const gone = new Promise<void>((resolve) => {
        socket.on('close', () => resolve())
        socket.on('error', () => {})
      })
      socket.on('open', () => {
        for (const { wish, id, follower } of followers) {
          follower.connected({ elsewhere: former !== at })
          const resume = follower.at === null ? {} : { resume: follower.at }
          socket.send(JSON.stringify({ ...wish, ...resume, type: 'subscribe', id, minIntervalMs: 50 }))
        }
        former = at
      })
      socket.on('message', (data) => {
        const told = JSON.parse(String(data)) as Told & { id?: string; code?: string }
        const own = followers.find(({ id }) => id === told.id)
        if (own === undefined) return
        if (told.type === 'error') faults.push(`${JSON.stringify(own.wish)} was ended: ${String(data).slice(0, 200)}`)
        if (!own.follower.take(told)) return
        const about = { reader: `standing query ${own.id} of ${tenant}`, tenant, atMs: Date.now() }
        answers.push(answerOf({ hits: own.follower.hits, asOf: told.asOf as AsOf }, about))
      })
      const stop = () => socket.terminate()
      stopped.signal.addEventListener('abort', stop)
      await gone
      stopped.signal.removeEventListener('abort', stop)
      await delay(AGAIN_MS, undefined, { signal: stopped.signal }).catch(() => {})
    }
  }
  const following = follow()
  following.catch(() => {})

  return {
    answers,
    get counts() {
      const counts: Record<string, number> = {}
      for (const { follower } of followers)
        for (const [name, count] of Object.entries(follower.counts)) counts[name] = (counts[name] ?? 0) + count
      return counts
    },
    async atRest() {
      const client = await connect(url())
      try {
        for (const { wish, follower } of followers) {
          const looked = async (): Promise<boolean | string> => {
            const { hits } = await client.search({ ...wish, exact: true })
            return (
              isDeepStrictEqual(follower.hits, hits) || `has ${shown(follower.hits)}, and a search finds ${shown(hits)}`
            )
          }
          // How much a term weighs depends on all documents: what has terms is looked at again every 30 s.
          const msMax = wish.mode === 'dense' ? DENSE_MS_MAX : RENEWED_MS_MAX
          await until(JSON.stringify(wish), looked, msMax, LOOK_EVERY_MS).catch((error: Error) =>
            faults.push(error.message),
          )
        }
      } finally {
        await client.close()
      }
      for (const { follower } of followers) faults.push(...follower.faults.splice(0))
      return { faults: faults.splice(0), compared: followers.length }
    },
    async stop() {
      stopped.abort()
      await following
    },
  }
}

const shown = (hits: readonly SearchHit[]): string =>
  hits.map(({ hitId, revision, score }) => `${hitId}@${revision} ${score.toFixed(5)}`).join(', ')

const AGAIN_MS = 100
/** Much less than after what a missed change would be found by itself. */
const DENSE_MS_MAX = 8_000
const RENEWED_MS_MAX = 45_000
const LOOK_EVERY_MS = 250
