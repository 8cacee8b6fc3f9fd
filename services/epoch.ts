import { control, documents } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { Retry } from '../streams/errors.ts'
import { FIRST_EPOCH } from '../streams/low.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import { openTable } from '../streams/table.ts'
import { nameIn, type Scope, type Topic } from '../streams/topic.ts'

/** Kafka's id of a topic, and how many topics of its name there have been. */
export interface Identity {
  readonly id: string
  readonly epoch: number
}

/**
 * Which topic `documents` is. Its offsets are the revisions, so another topic of the same name is another epoch: nothing is
 * touched until a person has said that it is the right one (`freshet epoch --accept`), since every new revision would look
 * older than what the index holds. The identity is recorded in `control` when the topic is first seen.
 */
export interface Epochs {
  /** As recorded; the first before anything is. */
  readonly epoch: number
  /** What is recorded, and the topic that is there now; null: nothing is. */
  identities(): Promise<{ readonly recorded: Identity | null; readonly present: string | null }>
  /** Records the topic if it is the first. Rejects with `Retry`, state source-recreated, while it is not the recorded one. */
  check(): Promise<void>
  /** For the runtime: the same for a topic and an id at hand. */
  identified(topic: Topic, id: string): Promise<{ readonly epoch: number }>
  /** Why nothing may be touched, as last checked; null: all is well. */
  readonly refusal: string | null
  /** Records the topic that is there as a new epoch. Answers the identity that is recorded then. */
  accept(): Promise<Identity>
  /** Called after each new epoch. */
  changed(listener: () => void): void
  close(): Promise<void>
}

export async function openEpochs(
  broker: Broker,
  serde: Serde,
  scope: Scope,
  failed: (error: Error) => void = () => {},
): Promise<Epochs> {
  const name = nameIn(scope, documents)
  const key = `topic/${documents.name}`
  const listeners: (() => void)[] = []
  let refusal: string | null = null
  const table = await openTable(control, {
    broker,
    serde,
    scope,
    clock: systemClock,
    failed,
    changed(of) {
      if (of === key) for (const listener of listeners) listener()
    },
  })
  await table.sync()
  const recorded = (): Identity | null => table.get(key)?.topic ?? null

  const record = async (identity: Identity): Promise<void> => {
    const producer = await broker.producer()
    try {
      const value = serde.encode(control, { topic: identity })
      const partition = partitionOf(key, control.partitions as number)
      await producer.send([{ topic: nameIn(scope, control), partition, key, value }])
    } finally {
      await producer.close()
    }
    await table.sync()
  }

  const identities = async () => {
    const present = (await broker.admin.topics()).find((topic) => topic.name === name)?.id ?? null
    return { recorded: recorded(), present }
  }

  const compare = (present: string | null): Identity | null => {
    const known = recorded()
    refusal = refusalOf(name, known, present)
    if (refusal !== null) throw new Retry(refusal, { state: 'source-recreated', retryAfterMs: 500 })
    return known
  }

  return {
    get epoch() {
      return recorded()?.epoch ?? FIRST_EPOCH
    },
    get refusal() {
      return refusal
    },
    identities,
    async check() {
      const { present } = await identities()
      if (compare(present) === null && present !== null) await record({ id: present, epoch: FIRST_EPOCH })
    },
    async identified(topic, id) {
      if (topic.name !== documents.name) return { epoch: FIRST_EPOCH }
      return { epoch: compare(id)?.epoch ?? FIRST_EPOCH }
    },
    async accept() {
      const { recorded: known, present } = await identities()
      if (present === null) throw new Error(`topic ${name} does not exist; freshet up creates it`)
      if (known?.id === present) return known
      const identity = { id: present, epoch: (known?.epoch ?? FIRST_EPOCH - 1) + 1 }
      await record(identity)
      refusal = null
      return identity
    },
    changed: (listener) => listeners.push(listener),
    close: () => table.close(),
  }
}

/** For whoever compares with `documents`: rejects with `Retry` also where a new epoch has begun since. */
export async function checkEpoch(epochs: Epochs, epoch: number): Promise<void> {
  await epochs.check()
  if (epochs.epoch !== epoch) throw new Retry(`epoch ${epochs.epoch} of documents began, after ${epoch}: begin again`)
}

/** Why a topic must not be touched; null: it may. Pure. */
export function refusalOf(name: string, recorded: Identity | null, present: string | null): string | null {
  if (recorded === null || recorded.id === present) return null
  if (present === null)
    return `topic ${name} was deleted (it was ${recorded.id}): restore it, or make a new one the truth with freshet epoch --accept`
  return `topic ${name} was deleted and created again (it was ${recorded.id} and is ${present}): its offsets start over, and the index would take every new document for an old one. Restore it, or make the new one the truth with freshet epoch --accept`
}

/** For a command: the epoch, or the refusal. */
export async function epochOf(broker: Broker, serde: Serde, scope: Scope): Promise<number> {
  const epochs = await openEpochs(broker, serde, scope)
  try {
    await epochs.check()
    return epochs.epoch
  } finally {
    await epochs.close()
  }
}
