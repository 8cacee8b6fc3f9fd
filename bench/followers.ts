import WebSocket from 'ws'

/** Whoever follows standing queries over WebSockets, as the protocol says, and notes when it was told what. */
export interface Followers {
  /** Snapshots that came. */
  readonly snapshots: number
  /** Diffs that came. */
  readonly diffs: number
  /** Those who were told that the hits may be stale. */
  readonly notices: number
  /** Opens this many WebSockets more that ask nothing. */
  connect(count: number): Promise<void>
  /** Asks these too, in turn over the connections, and resolves when each has its snapshot. */
  subscribe(queries: readonly string[], k: number): Promise<void>
  /** When each diff came that says something of this revision of a document, by `performance.now()`. */
  told(revision: string): readonly number[]
  close(): Promise<void>
}

interface Message {
  readonly type: string
  readonly code?: string
  readonly message?: string
  readonly ops?: readonly { readonly hit?: { readonly revision: string } }[]
}

/** `each`: standing queries of one connection, at most. */
export function followersOf(url: string, each: number): Followers {
  const sockets: WebSocket[] = []
  const told = new Map<string, number[]>()
  const counts = { snapshots: 0, diffs: 0, notices: 0 }
  let asked = 0
  let enough: { count: number; resolve(): void; reject(error: Error): void } | null = null

  const take = (data: WebSocket.RawData): void => {
    const at = performance.now()
    const message = JSON.parse(String(data)) as Message
    if (message.type === 'snapshot') counts.snapshots++
    if (message.type === 'notice') counts.notices++
    if (message.type === 'error') enough?.reject(new Error(`a standing query has ended: ${message.message}`))
    if (enough !== null && counts.snapshots >= enough.count) enough.resolve()
    if (message.type !== 'diff') return
    counts.diffs++
    const revisions = new Set(message.ops!.flatMap(({ hit }) => (hit === undefined ? [] : [hit.revision])))
    for (const revision of revisions) {
      const times = told.get(revision)
      if (times === undefined) told.set(revision, [at])
      else times.push(at)
    }
  }
  const connect = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const socket = new WebSocket(url, 'freshet.v1+json')
      socket.on('message', take)
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
      socket.on('error', () => {})
      sockets.push(socket)
    }
  }

  return {
    get snapshots() {
      return counts.snapshots
    },
    get diffs() {
      return counts.diffs
    },
    get notices() {
      return counts.notices
    },
    connect,
    async subscribe(queries, k) {
      const missing = Math.ceil((asked + queries.length) / each) - sockets.length
      if (missing > 0) await connect(missing)
      for (let from = 0; from < queries.length; from += AT_ONCE) {
        const some = queries.slice(from, from + AT_ONCE)
        const done = new Promise<void>((resolve, reject) => {
          enough = { count: asked + some.length, resolve, reject }
        })
        for (const query of some) {
          const socket = sockets[Math.floor(asked / each)]!
          socket.send(JSON.stringify({ type: 'subscribe', id: String(++asked), query, k, minIntervalMs: 0 }))
        }
        await done
      }
    },
    told: (revision) => told.get(revision) ?? [],
    async close() {
      const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
      for (const socket of sockets) socket.close()
      await Promise.all(closed)
    },
  }
}

/** Fewer than a connection may send in a second. */
const AT_ONCE = 250
