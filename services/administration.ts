import type { Control } from '../schemas/records.ts'
import { actions, control } from '../schemas/topics.ts'
import type { Producer } from '../streams/broker.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'

/** `control`, for whoever decides what is in it. */
export interface Administration {
  /** Who it is, for what is written down. */
  readonly by: string
  /** As it is now. */
  readonly control: ReadonlyMap<string, Control>
  /** Resolves when the decision is in every replica, and that it was made is in `actions`. null takes it back. */
  decide(subject: string, record: Partial<Control> | null, action: { what: string; detail?: string }): Promise<void>
}

interface DecidePorts {
  readonly producer: Producer
  readonly serde: Serde
  readonly scope: Scope
  readonly now: () => number
}

/** Who decides, and by which request. */
export interface Decider {
  readonly by: string
  readonly requestId: string | null
}

export function decidingFor(
  { by, requestId }: Decider,
  { producer, serde, scope, now }: DecidePorts,
): Administration['decide'] {
  const at = (key: string, topic: typeof control | typeof actions) => ({
    topic: nameIn(scope, topic),
    partition: partitionOf(key, topic.partitions as number),
    key,
  })
  return async (subject, record, { what, detail = '' }) => {
    const value = record === null ? null : serde.encode(control, record)
    const action = serde.encode(actions, { at: now(), by, what, subject, detail, requestId })
    await producer.send([
      { ...at(subject, actions), value: action },
      { ...at(subject, control), value },
    ])
  }
}
