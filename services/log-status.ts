import {
  type ControlRecords,
  instanceOf,
  rolesIn,
  servingIn,
  spaceKey,
  spacesKeptIn,
  statesIn,
} from '../processors/collections.ts'
import { indexVectors } from '../processors/index-vectors.ts'
import { pipeline } from '../processors/pipeline.ts'
import { catalogue } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { groupOf } from '../streams/runner.ts'
import { nameIn, type Topic } from '../streams/topic.ts'
import { controlNow } from './control-now.ts'
import type { Outside } from './outside.ts'
import { spacesIn } from './spaces.ts'

/** What the log says of the platform: its topics, how far behind its stages are, and what serves. */
export async function logStatus(outside: Outside, prefix: string, sources: readonly Topic[]) {
  return {
    topics: await topicRows(outside.broker, prefix, sources),
    stages: await lags(outside, prefix),
    serving: await servingNow(outside, prefix),
    models: modelRows(await controlNow(outside, prefix), prefix),
  }
}

export interface ModelRow {
  /** NAME@VERSION. */
  readonly model: string
  readonly space: string
  readonly collection: string
  readonly state: string
}

/** Of the collections that are kept, the model that each is of. */
function modelRows(decided: ControlRecords, prefix: string): ModelRow[] {
  return [...spacesKeptIn(decided, { prefix, space: '' })].flatMap((space) => {
    const known = decided.get(spaceKey(space))?.space
    if (known == null) return []
    const states = statesIn(decided, { space })
    return [...rolesIn(decided, { prefix, space }).values()].map(({ collection, serving }) => ({
      model: `${known.model}@${known.version}`,
      space,
      collection,
      state: serving ? 'serving' : (states.get(collection)?.state ?? 'following'),
    }))
  })
}

export interface TopicRow {
  readonly name: string
  readonly about: string
  readonly partitions: number
  /** End minus start, over all partitions: records, and gaps that compaction and transactions leave. */
  readonly offsets: number
}

/** Of the topics of the catalogue, and of the sources beside it, that exist. */
export async function topicRows(
  { admin }: Broker,
  prefix: string,
  [, ...sources]: readonly Topic[],
): Promise<TopicRow[]> {
  const states = await admin.topics()
  const rows: TopicRow[] = []
  for (const topic of [...catalogue, ...sources]) {
    const names = topic.name.includes('<space>')
      ? spacesIn(states.map(({ name }) => name)).map((space) => nameIn({ prefix, space }, topic))
      : [prefix + topic.name]
    for (const { name, partitions } of states.filter((state) => names.includes(state.name))) {
      const offsets = (await admin.offsets(name)).reduce((sum, { start, end }) => sum + end - start, 0)
      rows.push({ name, about: topic.about, partitions, offsets })
    }
  }
  return rows
}

/** Offsets behind, by consumer group. A transactional stage keeps its position elsewhere: its staleness is under freshness. */
export async function lags(outside: Outside, prefix: string): Promise<{ group: string; topic: string; lag: number }[]> {
  const { admin } = outside.broker
  const names = (await admin.topics()).map(({ name }) => name)
  const decided = await controlNow(outside, prefix)
  const rows = []
  for (const space of new Set(spacesIn(names))) {
    const scope = { prefix, space }
    const kept = [...rolesIn(decided, scope).keys()]
    for (const processor of pipeline) {
      if (processor.transactional) continue
      // A group for each collection; the other stages have one.
      const instances = processor === indexVectors ? kept.map((each) => instanceOf(each, scope)) : ['']
      for (const instance of instances) {
        const group = groupOf(scope, processor, instance)
        for (const topic of processor.from.map((from) => nameIn(scope, from)).filter((name) => names.includes(name))) {
          const committed = await admin.committed(group, topic)
          if (committed.length === 0) continue
          const lag = (await admin.offsets(topic)).reduce((sum, { partition, start, end }) => {
            const next = committed.find((each) => each.partition === partition)?.offset ?? start
            return sum + Math.max(0, end - next)
          }, 0)
          rows.push({ group, topic, lag })
        }
      }
    }
  }
  return rows
}

/** The collection that answers; nothing where it is not known, and there is no space that it could be of. */
export async function servingNow(outside: Outside, prefix: string): Promise<string[]> {
  const decided = await controlNow(outside, prefix)
  const spaces = new Set(spacesIn((await outside.broker.admin.topics()).map(({ name }) => name)))
  return [...new Set([...spaces].map((space) => servingIn(decided, { prefix, space }).collection))]
}
