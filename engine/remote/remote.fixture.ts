import type { SpentRecord } from './budget.ts'
import type { Policy, World } from './dispatcher.ts'
import type { Golden } from './golden.ts'
import { type GoldenRecords, type GuardedEngine, guarded } from './guarded.ts'
import { byBytes, type Measure } from './measure.ts'
import { remoteEngine } from './remote-engine.ts'
import { type RemoteModel, remoteSpaceOf } from './remote-space.ts'
import type { Transport } from './transport.ts'

export const model: RemoteModel = {
  name: 'hash',
  revision: '1',
  dimensions: 64,
  maxTokens: 256,
  prompts: { document: '', query: '' },
}

export const policy: Policy = {
  batch: { textsMax: 32, tokensMax: 8_192, bytesMax: 1024 * 1024 },
  requestsMax: 4,
  timeoutMs: 30_000,
  requestsPerMinuteMax: null,
  tokensPerMinuteMax: null,
  tokensPerDayMax: null,
  pricePerMillionTokens: null,
}

/** The real clock, but waits between attempts are short. */
export const world: World = {
  now: Date.now,
  wait(ms, signal) {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  },
  random: () => 0,
}

export function memoryRecords(): GoldenRecords & { readonly written: Map<string, Golden> } {
  const written = new Map<string, Golden>()
  return {
    written,
    read: async (space) => written.get(space) ?? null,
    write: async (space, golden) => {
      written.set(space, golden)
    },
  }
}

export const noRecord: SpentRecord = { read: () => null, write() {} }

export function engineOver(
  transport: Transport,
  {
    records = memoryRecords(),
    measure = byBytes(2),
    policy: other = {},
    world: otherWorld = world,
    spent = noRecord,
    everyMs = 3_600_000,
  }: {
    records?: GoldenRecords
    measure?: Measure
    policy?: Partial<Policy>
    world?: World
    spent?: SpentRecord
    everyMs?: number
  } = {},
): GuardedEngine {
  const space = remoteSpaceOf(model, measure)
  const log = { info() {}, warn() {} }
  const inner = remoteEngine({
    transport,
    space,
    model,
    measure,
    policy: { ...policy, ...other },
    spent,
    world: otherWorld,
    log,
  })
  return guarded(inner, { records, cosineMin: 0.99, everyMs, now: otherWorld.now })
}
