import type { Control, DeadLetterDecision } from '../schemas/records.ts'
import { control } from '../schemas/topics.ts'
import type { Producer } from '../streams/broker.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import type { Entry } from './dead-letters.ts'

/** Under this key of `control` lies what was decided about an entry. */
export const decisionKey = (id: string): string => `dead-letter/${id}`

/** Those that may be seen: what is of an erased document is as if it were not there. */
export function withoutErased(
  entries: ReadonlyMap<string, Entry>,
  decided: (key: string) => Control | undefined,
): Map<string, Entry> {
  return new Map([...entries].filter(([id]) => decided(decisionKey(id))?.deadLetter?.state !== 'erased'))
}

export async function writeDecisions(
  decided: readonly { readonly id: string; readonly decision: DeadLetterDecision }[],
  { producer, serde, scope }: { producer: Producer; serde: Serde; scope: Scope },
): Promise<void> {
  if (decided.length === 0) return
  await producer.send(
    decided.map(({ id, decision }) => ({
      topic: nameIn(scope, control),
      partition: partitionOf(decisionKey(id), control.partitions as number),
      key: decisionKey(id),
      value: serde.encode(control, { deadLetter: decision }),
    })),
  )
}
