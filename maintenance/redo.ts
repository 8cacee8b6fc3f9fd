import type { Fence } from '../processors/fence.ts'
import type { Redo } from '../schemas/records.ts'
import { redo } from '../schemas/topics.ts'
import type { NewRecord } from '../streams/broker.ts'
import { revisionHeaders } from '../streams/outbox.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'

/** A revision that is to be derived again, whole: nothing of it is taken from a cache. */
export interface Again {
  readonly key: string
  /** Where the key's latest record lies in `documents`; or, for a document that is not there any more, where the index believes it lies. */
  readonly revision: { readonly epoch: number; readonly offset: number }
  /** The fence of its manifest; null if there is none. */
  readonly present: Fence | null
  /** The value in `documents`, byte for byte; null deletes. */
  readonly value: Buffer | null
  /** repair, replay or renew, and for whom. */
  readonly why: string
}

/** The record of `redo` that leads to it. Its fence is above all that the index has of this revision, so that it is applied. */
export function redoRecord(
  { key, revision, present, value, why }: Again,
  { serde, scope, partitions }: { serde: Serde; scope: Scope; partitions: number },
): NewRecord {
  const { epoch, offset } = revision
  const same = present !== null && present.epoch === epoch && present.offset === offset
  const derivation = same ? present.derivation + 1 : 1
  const record: Redo = { epoch, offset, derivation, why, document: value }
  const partition = partitionOf(key, partitions)
  const headers = revisionHeaders({ partition, ...record })
  return { topic: nameIn(scope, redo), partition, key, value: serde.encode(redo, record), headers }
}
