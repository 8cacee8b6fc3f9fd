import { checkKey } from '../processors/document-key.ts'
import type { Fence } from '../processors/fence.ts'
import { type Entry, isOfSource, type Known, supersededBy } from './dead-letters.ts'

/** What a replay of one entry would do. */
export type ReplayDecision =
  /** The key's current record of `documents`, derived again above what the index has. */
  | {
      readonly do: 'redo'
      readonly key: string
      readonly partition: number
      readonly offset: number
      readonly present: Fence | null
    }
  /** The source record as it was, at the end of its own partition, so that the order there holds. */
  | { readonly do: 'send'; readonly topic: string; readonly partition: number }
  /** Something newer took its place. */
  | { readonly do: 'nothing'; readonly why: string }
  /** No replay can help. */
  | { readonly do: 'cannot'; readonly why: string }

/** The key, where it can be a document's. */
export function soundKey({ latest: { key } }: Entry): string | null {
  if (key === null) return null
  try {
    checkKey(key)
    return key
  } catch {
    return null
  }
}

export interface Source {
  /** Kafka's id of the letter's topic now; null: the topic is gone. */
  readonly topicId: string | null
  /** A later record of the key in the letter's partition; null if there is none. */
  readonly newer: number | null
}

/** `known` and `source` are as of one moment: what comes after it is refused by `ingest-documents` or by the fence. Pure. */
export function decideReplay(entry: Entry, known: Known | undefined, source: Source): ReplayDecision {
  const { latest: letter, origin } = entry
  const remedy = remedyFor(letter.class, letter.topic)
  if (remedy !== null) return { do: 'cannot', why: remedy }
  if (known === undefined || letter.key === null) {
    return { do: 'cannot', why: 'its key can be no document’s; send the document under a key tenant/id' }
  }
  const newer = supersededBy(entry, known)
  if (newer !== null) return { do: 'nothing', why: newer }
  if (!isOfSource(letter)) {
    const { partition, offset } = known.latest!
    return { do: 'redo', key: letter.key, partition, offset, present: known.manifest?.fence ?? null }
  }
  if (source.topicId === null) {
    return { do: 'cannot', why: `topic ${letter.topic} is gone; send the document to another source` }
  }
  if (source.newer !== null) {
    return {
      do: 'nothing',
      why: `${letter.topic} ${origin.partition}/${source.newer} is a later record of the key`,
    }
  }
  return { do: 'send', topic: letter.topic, partition: origin.partition }
}

/** What would have to be done instead, where the record itself is wrong for good. */
function remedyFor(letterClass: string, topic: string): string | null {
  if (letterClass === 'key') {
    return `a record under a malformed key can never be a document: send it again under a key tenant/id, and delete this one (a null value under the same key) where ${topic} is compacted`
  }
  if (letterClass === 'partition') {
    return 'its key belongs in another partition: send it again with murmur2 of the key (partitioner=murmur2_random in librdkafka), or to inbox'
  }
  return null
}

export function inWords(decision: ReplayDecision): string {
  switch (decision.do) {
    case 'redo':
      return `derive documents ${decision.partition}/${decision.offset}, the key’s current record, again`
    case 'send':
      return `send the record again, byte for byte, to ${decision.topic} partition ${decision.partition}`
    case 'nothing':
      return `nothing: superseded, ${decision.why}`
    case 'cannot':
      return `nothing, since no replay can help: ${decision.why}`
  }
}
