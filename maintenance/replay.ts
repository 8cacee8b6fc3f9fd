import { REPLAY_SEEN } from '../processors/ingest-documents.ts'
import { documents } from '../schemas/topics.ts'
import type { Broker, NewRecord, Producer } from '../streams/broker.ts'
import type { Clock } from '../streams/clock.ts'
import { REPLAY_OF, replayOf } from '../streams/dead-letters.ts'
import { Reject } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import { type Entry, isOfSource } from './dead-letters.ts'
import { type KnownPorts, type Looked, lookAt } from './known.ts'
import { writeDecisions } from './letter-decisions.ts'
import { readLetter, recordAt } from './read-letters.ts'
import { redoRecord } from './redo.ts'
import { decideReplay, type ReplayDecision, type Source, soundKey } from './replay-decision.ts'
import { listen, type Word } from './replay-words.ts'

export interface ReplayPorts extends KnownPorts {
  readonly broker: Broker
  readonly serde: Serde
  readonly scope: Scope
  readonly producer: Producer
  readonly clock: Clock
  /** Who replays, for the record of it in `control`. */
  readonly by: string
}

export interface Outcome {
  readonly entry: Entry
  readonly decision: ReplayDecision
  /** `pending`: sent, and nothing was heard of it within the time. */
  readonly outcome: 'indexed' | 'deleted' | 'superseded' | 'rejected' | 'impossible' | 'pending'
  /** In words: where, or why not. */
  readonly detail: string
  /** Letters of the entry, with the one that this replay led to. */
  readonly count: number
}

/** What replaying each would do now; of several of one key, as if each were the only one. */
export async function decideAll(
  entries: readonly Entry[],
  ports: Omit<ReplayPorts, 'producer' | 'clock' | 'by'>,
): Promise<{ decisions: ReplayDecision[]; looked: Looked }> {
  const keys = entries.flatMap((entry) => soundKey(entry) ?? [])
  const looked = await lookAt(keys, ports)
  const topicIds = new Map((await ports.broker.admin.topics()).map(({ name, id }) => [name, id]))
  const newer = await laterInSource(
    entries.filter(({ latest }) => isOfSource(latest)),
    topicIds,
    ports,
  )
  const decisions = entries.map((entry) => {
    const { topic } = entry.latest
    const key = soundKey(entry)
    const source: Source = { topicId: topicIds.get(topic) ?? null, newer: newer.get(entry.id) ?? null }
    return decideReplay(entry, key === null ? undefined : looked.known.get(key), source)
  })
  return { decisions, looked }
}

/** By entry: the last record of its key behind it in its partition of the source, its own replays apart. One pass for each partition. */
async function laterInSource(
  entries: readonly Entry[],
  topicIds: ReadonlyMap<string, string>,
  { broker }: Pick<ReplayPorts, 'broker'>,
): Promise<Map<string, number>> {
  const later = new Map<string, number>()
  const byPlace = Map.groupBy(entries, ({ origin: { topic, partition } }) => `${topic}\n${partition}`)
  for (const group of byPlace.values()) {
    const { topic, partition } = group[0]!.origin
    const range = topicIds.has(topic)
      ? (await broker.admin.offsets(topic)).find((each) => each.partition === partition)
      : undefined
    if (range === undefined) continue
    // Offsets of a topic that was made again say nothing of the former one: then all that is there came later.
    const after = ({ origin }: Entry) => (topicIds.get(topic) === origin.topicId ? origin.offset : -1)
    const byKey = Map.groupBy(group, ({ latest }) => latest.key)
    const from = Math.min(...group.map((entry) => after(entry) + 1))
    for await (const { records } of broker.read({ topic, partition, from, to: range.end })) {
      for (const { key, offset, headers } of records) {
        for (const entry of byKey.get(key?.toString('utf8') ?? null) ?? [])
          if (offset > after(entry) && replayOf(headers) !== entry.id) later.set(entry.id, offset)
      }
    }
  }
  return later
}

/**
 * Replays the entries, at most `WINDOW` at a time and of one key one after the other, and says what became of each. What is
 * decided holds at that moment: a document that comes in between wins, by its fence or because `ingest-documents` looks again.
 */
export async function* replayAll(
  entries: readonly Entry[],
  ports: ReplayPorts,
  waiting: Waiting,
): AsyncGenerator<Outcome> {
  let left = [...entries]
  while (left.length > 0) {
    waiting.signal?.throwIfAborted()
    const keys = new Set<string | null>()
    const window: Entry[] = []
    left = left.filter((entry) => {
      const { key } = entry.latest
      if (window.length >= WINDOW || (key !== null && keys.has(key))) return true
      keys.add(key)
      window.push(entry)
      return false
    })
    yield* replayWindow(window, ports, waiting)
  }
}

export interface Waiting {
  /** For the outcomes of one window. */
  readonly timeoutMs: number
  /** Where the index had something newer already, no receipt comes: then only looking tells. */
  readonly lookEveryMs?: number
  readonly signal?: AbortSignal
}

const WINDOW = 64
const LOOK_EVERY_MS = 2_000

async function* replayWindow(
  entries: readonly Entry[],
  ports: ReplayPorts,
  { timeoutMs, lookEveryMs = LOOK_EVERY_MS }: Waiting,
): AsyncGenerator<Outcome> {
  const { decisions, looked } = await decideAll(entries, ports)
  const heard = await listen(entries, ports)
  try {
    const sent: { entry: Entry; decision: ReplayDecision }[] = []
    for (const [i, entry] of entries.entries()) {
      const decision = decisions[i]!
      if (decision.do === 'nothing') {
        yield { entry, decision, outcome: 'superseded', detail: decision.why, count: entry.count }
      } else if (decision.do === 'cannot') {
        yield { entry, decision, outcome: 'impossible', detail: decision.why, count: entry.count }
      } else {
        const record = await recordFor(entry, decision, looked, ports)
        try {
          await ports.producer.send([record])
        } catch (error) {
          if (!(error instanceof Reject)) throw error
          yield { entry, decision, outcome: 'impossible', detail: error.message, count: entry.count }
          continue
        }
        sent.push({ entry, decision })
      }
    }
    const outcomes: Outcome[] = []
    const until = ports.clock.now() + timeoutMs
    for (const { entry, decision } of sent) {
      let outcome: Outcome
      do {
        const late = new AbortController()
        const time = ports.clock.wait(Math.min(lookEveryMs, Math.max(0, until - ports.clock.now())), late.signal)
        const word = await Promise.race([heard.of(entry.id), time.then(() => null)])
        late.abort()
        outcome = await outcomeOf(entry, decision, word, ports)
      } while (outcome.outcome === 'pending' && ports.clock.now() < until)
      outcomes.push(outcome)
      yield outcome
    }
    await remember(outcomes, heard.through, ports)
  } finally {
    await heard.close()
  }
}

/** The record that is sent. Of the bytes of letters and documents only one is held at a time. */
async function recordFor(
  { id, latest: { at }, origin }: Entry,
  decision: Extract<ReplayDecision, { do: 'redo' | 'send' }>,
  { ends }: Looked,
  ports: ReplayPorts,
): Promise<NewRecord> {
  const { broker, serde, scope, epoch } = ports
  const partitions = ends.size
  if (decision.do === 'redo') {
    const { partition, offset, present } = decision
    const stored = await recordAt(broker, { topic: nameIn(scope, documents), partition, offset })
    // Compacted away in this moment: there is a newer one, which its own record brings to the index.
    if (stored === null) throw new Error(`documents ${partition}/${offset} is not there any more; try again`)
    const again = {
      key: decision.key,
      revision: { epoch, offset },
      present,
      value: stored.value,
      why: `replay of dead letter ${id}`,
    }
    const record = redoRecord(again, { serde, scope, partitions })
    return { ...record, headers: { ...record.headers, [REPLAY_OF]: id } }
  }
  const { key, value, headers } = await readLetter(ports, at)
  const name = key!.toString('utf8')
  return {
    topic: decision.topic,
    partition: origin.partition,
    key: name,
    value,
    headers: { ...headers, [REPLAY_OF]: id, [REPLAY_SEEN]: String(ends.get(partitionOf(name, partitions))!) },
  }
}

async function outcomeOf(
  entry: Entry,
  decision: ReplayDecision,
  word: Word | null,
  ports: ReplayPorts,
): Promise<Outcome> {
  const { count } = entry
  if (word === null) {
    // Where the index had something newer already, nothing more is said.
    const [now] = (await decideAll([entry], ports)).decisions
    if (now!.do === 'nothing') return { entry, decision, outcome: 'superseded', detail: now!.why, count }
    return { entry, decision, outcome: 'pending', detail: 'sent, and nothing was heard of it yet', count }
  }
  if ('letter' in word) {
    const { reason } = word.letter
    const again = { ...entry, count: count + 1 }
    const [now] = (await decideAll([entry], ports)).decisions
    // Overtaken while it was on its way.
    if (now!.do === 'nothing') return { entry, decision, outcome: 'superseded', detail: now!.why, count: again.count }
    const same = reason === entry.latest.reason ? 'for the same reason' : `for another reason: ${reason}`
    return { entry, decision, outcome: 'rejected', detail: `${same} (${again.count} times now)`, count: again.count }
  }
  const { outcome, partition, offset, presentOffset, presentDerivation } = word.receipt
  const place = `documents ${partition}/${offset}`
  if (outcome === 'superseded') {
    return { entry, decision, outcome: 'superseded', detail: `${partition}/${presentOffset} is newer`, count }
  }
  const detail = presentDerivation > 0 ? `${place}, derivation ${presentDerivation}` : place
  return { entry, decision, outcome: outcome === 'deleted' ? 'deleted' : 'indexed', detail, count }
}

/** Written last: who is ended before leaves an entry that is open, and replaying it again does nothing. */
async function remember(outcomes: readonly Outcome[], through: number, ports: ReplayPorts): Promise<void> {
  const { clock, by } = ports
  const decided = outcomes
    .filter(({ outcome }) => outcome !== 'rejected')
    .map(({ entry, outcome, detail }) => ({
      id: entry.id,
      decision: { state: 'replayed', at: clock.now(), by, why: `${outcome}: ${detail}`, through },
    }))
  await writeDecisions(decided, ports)
}
