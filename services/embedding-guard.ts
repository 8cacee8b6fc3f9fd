import { Counter, Gauge, type Registry } from 'prom-client'
import type { Engine } from '../engine/embedder.ts'
import { type GoldenRecords, type GuardedEngine, guarded } from '../engine/remote/guarded.ts'
import type { RemoteEngine, RemoteFacts } from '../engine/remote/remote-engine.ts'
import type { Control } from '../schemas/records.ts'
import { control } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { Retry } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import type { StateName } from '../streams/states.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import type { EmbeddingConfig } from './embedding-settings.ts'
import { probe } from './probe.ts'
import type { Frame } from './process.ts'

type GuardConfig = Pick<EmbeddingConfig, 'embeddingCosineMin' | 'embeddingCheckEveryMs'>

/**
 * For the engines of a role. One whose vectors come from a service elsewhere is compared with what `control` says of its golden texts,
 * measured, and looked after, so that a role without work to do says what is wrong too. Any other is left as it is.
 */
export function engineGuard(
  { embeddingCosineMin: cosineMin, embeddingCheckEveryMs: everyMs }: GuardConfig,
  { role, states, metrics }: Pick<Frame, 'role' | 'states' | 'metrics'>,
  records: GoldenRecords,
): (engine: Engine) => Engine {
  const engines = new Set<RemoteEngine>()
  elsewhereMetrics(metrics, engines)
  return (engine) => {
    if (!('remote' in engine)) return engine
    const one = guarded(engine as RemoteEngine, { records, cosineMin, everyMs, now: Date.now })
    const subject = `${role}, space ${one.space.id}`
    const probes = troubles.map((state) => probe(states, { state, subject, ask: () => saidOf(one, state) }))
    engines.add(one)
    return {
      ...one,
      get fingerprint() {
        return one.fingerprint
      },
      async close() {
        engines.delete(one)
        await Promise.all(probes.map((end) => end()))
        states.clearAll(subject)
        await one.close()
      },
    }
  }
}

const troubles = ['embedding-unavailable', 'embedding-budget-spent', 'embedding-model-changed'] as const

/** A probe takes what is not its own for well. */
async function saidOf(engine: GuardedEngine, state: StateName): Promise<void> {
  try {
    await engine.check()
  } catch (error) {
    if (!(error instanceof Retry) || error.state === state) throw error
  }
}

/** In `control`, under golden/<space>. `write` is for who may write there. */
export function goldenRecords(
  table: { get(key: string): Control | undefined; sync(): Promise<void> },
  writing: { readonly broker: Broker; readonly serde: Serde; readonly scope: Scope } | null,
): GoldenRecords {
  return {
    async read(space) {
      const found = table.get(keyOf(space))?.golden
      if (found) return found
      // Another process may have put it down a moment ago.
      await table.sync()
      return table.get(keyOf(space))?.golden ?? null
    },
    write:
      writing === null
        ? null
        : async (space, golden) => {
            const { broker, serde, scope } = writing
            const producer = await broker.producer()
            try {
              const key = keyOf(space)
              const value = serde.encode(control, { golden })
              const partition = partitionOf(key, control.partitions as number)
              await producer.send([{ topic: nameIn(scope, control), partition, key, value }])
            } finally {
              await producer.close()
            }
            await table.sync()
          },
  }
}

const keyOf = (space: string): string => `golden/${space}`

function elsewhereMetrics(register: Registry, engines: ReadonlySet<RemoteEngine>): void {
  const registers = [register]
  const of = ['space'] as const
  const each = (tell: (labels: { space: string }, facts: RemoteFacts) => void) => {
    for (const engine of engines) tell({ space: engine.space.id }, engine.remote())
  }
  new Counter({
    name: 'freshet_embedding_requests_total',
    help: 'Requests to the embedding service elsewhere, by what came of them.',
    labelNames: ['outcome', ...of],
    registers,
    collect() {
      this.reset()
      each((labels, { counts }) => {
        for (const [outcome, count] of Object.entries(counts.requests)) this.inc({ outcome, ...labels }, count)
      })
    },
  })
  new Counter({
    name: 'freshet_embedding_tokens_total',
    help: 'Tokens that the embedding service elsewhere has embedded, as it counts them; where it does not say, as we do.',
    labelNames: of,
    registers,
    collect() {
      this.reset()
      each((labels, { counts }) => this.inc(labels, counts.tokens))
    },
  })
  new Counter({
    name: 'freshet_embedding_cost_total',
    help: 'What those tokens cost, by FRESHET_EMBEDDING_PRICE_PER_MILLION_TOKENS.',
    labelNames: of,
    registers,
    collect() {
      this.reset()
      each((labels, { counts }) => this.inc(labels, counts.cost ?? 0))
    },
  })
  new Gauge({
    name: 'freshet_embedding_breaker_open',
    help: '1 while the embedding service elsewhere is left alone, after failures in a row; 0.5 while one request tries.',
    labelNames: of,
    registers,
    collect() {
      this.reset()
      each((labels, { breaker }) => this.set(labels, { closed: 0, 'half-open': 0.5, open: 1 }[breaker]))
    },
  })
  new Gauge({
    name: 'freshet_embedding_budget_tokens',
    help: 'Tokens that are left of the day’s budget; without a budget there is no value.',
    labelNames: of,
    registers,
    collect() {
      this.reset()
      each((labels, { budgetTokensLeft }) => {
        if (budgetTokensLeft !== null) this.set(labels, budgetTokensLeft)
      })
    },
  })
}
