import type { MemoryIndex, StoredChunk } from '../../processors/memory-index.ts'
import type { Manifest, Marker, VectorIndex, Write } from '../../processors/vector-index.ts'
import { deadLetters, indexed, vectors } from '../../schemas/topics.ts'
import type { Broker, NewRecord, Position, Producer } from '../../streams/broker.ts'
import type { Planted } from './simulation.ts'

/** A bug that the simulation must find: planted from outside, around a port, a processor or a store. */
export interface Canary extends Planted {
  readonly name: string
  readonly about: string
}

export const canaries: readonly Canary[] = [
  {
    name: 'no-compare-and-set',
    about: 'a manifest is written whatever the index holds by then',
    store: (store) => ({ ...store, applySteps: (writes) => store.applySteps(writes.map(uncompared(store))) }),
  },
  {
    name: 'no-read-back',
    about: 'what was asked to be written is taken for written',
    index: takenForWritten,
  },
  {
    name: 'commit-before-receipts',
    about: 'receipts are on their way when the offset is committed',
    broker: (broker) => producing(broker, notAwaited),
  },
  {
    name: 'chunk-ids-without-revision',
    about: 'a new chunk takes the place of the old one of the same ordinal',
    store: (store) => ({ ...store, applySteps: (writes) => replacingChunks(store, writes) }),
  },
  {
    name: 'start-at-the-marker-alone',
    about: 'the committed offset has no say in where an owner begins',
    indexing: (processor) => ({
      ...processor,
      async start(at, ports) {
        const place = await processor.start!(at, ports)
        return { ...place, at: place?.at ?? 0, offset: (ports.markers.get(at.partition)?.applied ?? at.start - 1) + 1 }
      },
    }),
  },
  {
    name: 'low-too-early',
    about: 'a record carries its own position as the watermark, whatever is under way before it',
    broker: (broker) => producing(broker, (send) => (records) => send(records.map(lowTooEarly))),
  },
  {
    name: 'manifest-before-its-chunks',
    about: 'a document switches to a revision whose chunks are still being written',
    store: (store) => ({ ...store, applySteps: (writes) => manifestsFirst(store, writes) }),
  },
  {
    name: 'not-admitted-is-passed',
    about: 'a record that is over a quota is passed over, and never taken up again',
    ingest(processor) {
      const passed = new Set<string>()
      return {
        ...processor,
        admit(arrived, ports) {
          const { partition, offset } = arrived.record
          if (processor.admit!(arrived, ports) !== null) passed.add(`${partition}/${offset}`)
          return null
        },
        async process(batch, ports) {
          const outcomes = await processor.process(batch, ports)
          return outcomes.map((outcome, i) => {
            const { partition, offset } = batch.records[i]!.at
            return passed.has(`${partition}/${offset}`) ? { publish: [] } : outcome
          })
        },
      }
    },
  },
  {
    name: 'dead-letter-skipped',
    about: 'a record is rejected, and its dead letter is forgotten',
    broker: (broker) => producing(broker, withoutLetters),
  },
  {
    name: 'restored-copy-not-noticed',
    about: 'the marker that was written is believed to be there still',
    index: rememberingMarkers,
  },
  {
    name: 'marker-not-compared',
    about: 'a marker is written whatever the index holds by then',
    store: (store) => ({
      ...store,
      settleSteps: (left, marker) => [
        ...store.settleSteps(left, marker, null).slice(0, -1),
        () => store.settleSteps([], marker, store.markers.get(marker.partition) ?? null)[0]!(),
      ],
    }),
  },
  {
    name: 'marker-not-read-back',
    about: 'a marker that was asked to be written is told as written',
    index: markersTakenForWritten,
  },
  {
    name: 'any-connection',
    about: 'a write goes over whatever connection there is, which may be to another copy than the one that was read',
    index: overAnyConnection,
  },
  {
    name: 'talked-over',
    about: 'an owner does not say again what somebody else said something older after',
    indexing: (processor) => ({
      ...processor,
      watch: {
        ...processor.watch!,
        async check(partition, ports) {
          await processor.watch!.check(partition, ports)
          return false
        },
      },
    }),
  },
  {
    name: 'commit-too-far',
    about: 'the offset that is committed is one above what is finished',
    broker: (broker) => ({
      ...broker,
      async consumeGroup(options) {
        const consumer = await broker.consumeGroup(options)
        const further = (positions: readonly Position[]) =>
          consumer.commit(positions.map((position) => ({ ...position, offset: position.offset + 1 })))
        return Object.assign(Object.create(consumer), {
          commit: further,
          owns: consumer.owns.bind(consumer),
          pause: consumer.pause.bind(consumer),
          resume: consumer.resume.bind(consumer),
          seek: consumer.seek.bind(consumer),
          close: consumer.close.bind(consumer),
        })
      },
    }),
  },
]

export function canaryOf(name: string): Canary {
  const canary = canaries.find((each) => each.name === name)
  if (canary !== undefined) return canary
  throw new Error(`--canary ${name}: there is none; the canaries are ${canaries.map((each) => each.name).join(', ')}`)
}

const uncompared =
  (store: MemoryIndex) =>
  (write: Write): Write => ({
    ...write,
    get expected() {
      return store.present.get(write.manifest.key)?.fence ?? null
    },
  })

function takenForWritten(index: VectorIndex): VectorIndex {
  const written = new Map<string, Manifest>()
  return {
    ...index,
    async read(keys, partition) {
      const { manifests, ...read } = await index.read(keys, partition)
      return {
        ...read,
        manifests: keys.map((key, i) => {
          const manifest = written.get(key) ?? manifests[i]!
          written.delete(key)
          return manifest
        }),
      }
    },
    async apply(writes, connection) {
      await index.apply(writes, connection)
      for (const { manifest } of writes) written.set(manifest.key, manifest)
    },
  }
}

function markersTakenForWritten(index: VectorIndex): VectorIndex {
  const written = new Map<number, Marker>()
  return {
    ...index,
    async read(keys, partition) {
      const read = await index.read(keys, partition)
      const marker = written.get(partition) ?? read.marker
      written.delete(partition)
      return { ...read, marker }
    },
    async settle(left, marker, expected, connection) {
      await index.settle(left, marker, expected, connection)
      written.set(marker.partition, marker)
    },
  }
}

function rememberingMarkers(index: VectorIndex): VectorIndex {
  const markers = new Map<number, Marker>()
  return {
    ...index,
    async read(keys, partition) {
      const { marker, ...read } = await index.read(keys, partition)
      const remembered = markers.get(partition)
      return { ...read, marker: remembered && remembered.applied > (marker?.applied ?? -1) ? remembered : marker }
    },
    async settle(left, marker, expected, connection) {
      await index.settle(left, marker, expected, connection)
      markers.set(marker.partition, marker)
    },
  }
}

function overAnyConnection(index: VectorIndex): VectorIndex {
  const present = async () => (await index.read([], 0)).connection
  return {
    ...index,
    read: async (keys, partition) => ({ ...(await index.read(keys, partition)), connection: 0 }),
    apply: async (writes) => index.apply(writes, await present()),
    settle: async (left, marker, expected) => index.settle(left, marker, expected, await present()),
  }
}

function replacingChunks(store: MemoryIndex, writes: readonly Write[]): readonly (() => void)[] {
  const chunks = store.chunks as Map<string, StoredChunk>
  return store.applySteps(writes).map((step) => () => {
    const before = new Set(chunks.values())
    step()
    const written = [...chunks.values()].filter((chunk) => !before.has(chunk))
    for (const [place, old] of [...chunks])
      if (before.has(old) && written.some(({ key, ordinal }) => key === old.key && ordinal === old.ordinal))
        chunks.delete(place)
  })
}

function manifestsFirst(store: MemoryIndex, writes: readonly Write[]): readonly (() => void)[] {
  const steps = store.applySteps(writes)
  const ofChunks = steps.length - writes.length
  return [...steps.slice(ofChunks), ...steps.slice(0, ofChunks)]
}

type Send = Producer['send']

function producing(broker: Broker, around: (send: Send) => Send): Broker {
  return {
    ...broker,
    async producer() {
      const producer = await broker.producer()
      return { send: around((records) => producer.send(records)), close: () => producer.close() }
    },
  }
}

/** Where nobody waits for an answer, nobody looks at it. */
const nowhere = (records: readonly NewRecord[]): Position[] =>
  records.map(({ topic, partition }) => ({ topic, partition, offset: -1 }))

const notAwaited =
  (send: Send): Send =>
  async (records) => {
    if (!records.some(({ topic }) => topic === indexed.name)) return send(records)
    send(records).catch(() => {})
    return nowhere(records)
  }

const withoutLetters =
  (send: Send): Send =>
  async (records) => {
    await send(records.filter(({ topic }) => topic !== deadLetters.name))
    return nowhere(records)
  }

function lowTooEarly(record: NewRecord): NewRecord {
  const { headers = {} } = record
  if (!record.topic.startsWith(vectors.name.split('<')[0]!) || headers.position === undefined) return record
  return { ...record, headers: { ...headers, low: String(headers.position).split(':')[1]! } }
}
