import { ensureTopics } from '../schemas/ensure-topics.ts'
import { catalogue, control } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { Forbidden, Retry, reasonOf } from '../streams/errors.ts'
import type { Serde } from '../streams/serde.ts'
import type { StateName } from '../streams/states.ts'
import type { Scope, Topic } from '../streams/topic.ts'
import type { PlatformConfig } from './config.ts'
import { type Epochs, openEpochs } from './epoch.ts'
import { type Outside, openOutside } from './outside.ts'
import type { Frame } from './process.ts'

/** What every role that works on the topics begins with: the broker, the serde, topics and schemas in place, the epoch. */
export interface Platform {
  readonly outside: Outside
  readonly broker: Broker
  readonly serde: Serde
  readonly scope: Scope
  readonly epochs: Epochs
  /** The present one. */
  readonly epoch: number
}

/** Who waits, and where it says so. */
export type Waiting = Pick<Frame, 'role' | 'log' | 'states' | 'fail'>

/** Waits, and says for what, until Kafka and the registry are there. `topics`: those that are made, and that the serde knows. */
export async function openPlatform(
  config: PlatformConfig,
  space: string,
  waiting: Waiting,
  topics: readonly Topic[] = catalogue,
): Promise<Platform> {
  const { role, log, fail: failed } = waiting
  const scope: Scope = { prefix: config.topicPrefix, space }
  const outside = openOutside(config, {
    clientId: `freshet-${role}`,
    log: (level, message, fields) => log[level]({ ...fields }, message),
  })
  const { broker } = outside
  const serde = outside.serde(scope)
  const { partitions, replicationFactor } = config
  await persistently('Kafka', waiting, () => broker.admin.ready(READY_MS))
  const plan = { scope, partitions, replicationFactor }
  await persistently('the schema registry', waiting, () => serde.register(topics))
  await persistently('the topics', waiting, () => orWait(ensureTopics(broker.admin, plan, [control])))
  const epochs = await persistently('the epoch of documents', waiting, () => openEpochs(broker, serde, scope, failed))
  // A `documents` that is gone is not made anew by whoever comes first: its place is for the one that is restored.
  await persistently('the epoch of documents', waiting, async () => {
    const { recorded, present } = await epochs.identities()
    if (recorded !== null || present !== null) await orWait(epochs.check())
  })
  await persistently('the topics', waiting, () => orWait(ensureTopics(broker.admin, plan, topics)))
  await persistently('the epoch of documents', waiting, () => orWait(epochs.check()))
  return {
    outside,
    broker,
    serde,
    scope,
    epochs,
    get epoch() {
      return epochs.epoch
    },
  }
}

/** What is made once may be made by another role: whoever may not make it waits for who may. */
export async function orWait<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof Forbidden)) throw error
    throw new Retry(`waiting for a role that may do this: ${reasonOf(error)}`)
  }
}

/** Again and again while the world is not well, saying so in the log and as a state of the role. */
export async function persistently<T>(
  what: string,
  { role, log, states }: Waiting,
  work: () => Promise<T>,
): Promise<T> {
  let raised: StateName | null = null
  for (let attempt = 1; ; attempt++) {
    try {
      const done = await work()
      if (raised !== null) states.clear(raised, role)
      return done
    } catch (error) {
      if (!(error instanceof Retry)) throw error
      if (raised !== null && raised !== error.state) states.clear(raised, role)
      raised = error.state
      if (raised !== null) states.raise(raised, role, `waiting for ${what}: ${reasonOf(error)}`)
      log.warn({ attempt, reason: reasonOf(error) }, `waiting for ${what}`)
      await systemClock.wait(Math.min(error.retryAfterMs * 2 ** Math.min(attempt, 5), WAIT_MS_MAX))
    }
  }
}

const READY_MS = 10_000
const WAIT_MS_MAX = 5_000
