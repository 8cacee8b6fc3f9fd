import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import WebSocket from 'ws'
import { type Client, connect } from '../../client/client.ts'
import type { QueryRole } from '../platform.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'
import { cutOffs, largeDocuments, slowReader } from './slow-readers.ts'

const waves = { fast: 5, full: 30 }
const CLIENTS_IN_WAVE = 30

/** Who reads slowly, or is gone without a word, is cut off alone. */
export const badClients: Row = {
  id: 'F28',
  title: 'slow WebSocket reader, dead peer, reconnect storm',
  sets: ['full'],
  // What answers take is to be the client's doing.
  needs: { qdrant: 'own' },
  async run(context) {
    const { platform, load, queries, healed, atRest, count, most, expect } = context
    await load.write(300)
    await load.send(largeDocuments(platform))
    await atRest()
    const query = queries[0]!
    const steady = await Promise.all([watch(query), watch(query)])
    const before = await query.metric('freshet_connections')
    const flow = load.flow(20)

    const dead = await deadPeer(query)
    for (const bound of ['bytes', 'seconds'] as const) {
      const code = await slowReader(query, bound)
      expect(code === SLOW_READER, `who reads slowly by ${bound} was closed with ${code}, and ${SLOW_READER} is due`)
    }
    count('slow readers cut off', await cutOffs(query))
    count('connections of the storm', await storm(context, query))
    await until('the dead peer is cut off', () => dead.readyState === WebSocket.CLOSED, DEAD_MS_MAX)
    await until(
      'the connections are those of before',
      async () => {
        const now = await query.metric('freshet_connections')
        return now === before || `there are ${now}, and were ${before}`
      },
      60_000,
    )
    await flow.stop()
    expect((await cutOffs(query)) === 2, `${await cutOffs(query)} were cut off for their reading, and two did not read`)

    await healed()
    most(
      'MiB of heap that the query service holds',
      Math.round((await query.metric('nodejs_heap_size_used_bytes')) / 2 ** 20),
    )
    for (const each of steady) {
      const { answers, faults } = await each.stop()
      count('answers to the steady clients', answers)
      expect(answers > 0, 'a steady client was never answered: the row says nothing')
      expect(faults.length === 0, `a steady client was disturbed: ${faults[0]}`)
    }
  },
}

const SLOW_READER = 4510
/** Three pings of 25 s each, and some patience. */
const DEAD_MS_MAX = 110_000

/** Takes everything and answers no ping. */
async function deadPeer(query: QueryRole): Promise<WebSocket> {
  const socket = new WebSocket(query.url, 'freshet.v1+json', { autoPong: false })
  socket.on('error', () => {})
  await once(socket, 'message')
  return socket
}

/** Wave after wave connects at once, asks, and goes: some with a word, some without. */
async function storm({ set }: Context, query: QueryRole): Promise<number> {
  let connections = 0
  for (let wave = 0; wave < waves[set]; wave++) {
    const sockets = Array.from({ length: CLIENTS_IN_WAVE }, () => new WebSocket(query.url, 'freshet.v1+json'))
    await Promise.all(
      sockets.map(async (socket, i) => {
        socket.on('error', () => {})
        await once(socket, 'message')
        connections++
        socket.send(JSON.stringify({ type: 'search', id: '1', query: 'storm', k: 5 }))
        // A third does not wait for the answer.
        if (i % 3 !== 0) await once(socket, 'message')
        if (i % 2 === 0) socket.terminate()
        else socket.close()
      }),
    )
  }
  return connections
}

interface Steady {
  stop(): Promise<{ readonly answers: number; readonly faults: readonly string[] }>
}

/** Asks all the time, and must never notice the others. */
async function watch(query: QueryRole): Promise<Steady> {
  const client: Client = await connect(query.url)
  const stopped = new AbortController()
  const faults: string[] = []
  let answers = 0
  const asking = (async () => {
    while (!stopped.signal.aborted && faults.length === 0) {
      await client.search({ query: 'steady', k: 3 }).then(
        () => answers++,
        (error) => faults.push(String(error)),
      )
      await delay(50)
    }
  })()
  return {
    async stop() {
      stopped.abort()
      await asking
      await client.close()
      return { answers, faults }
    },
  }
}
