import type { Commit, TopicPartition } from '../broker.ts'
import type { Cluster, Node } from './kafka-client.ts'

export interface LogRange extends TopicPartition {
  readonly start: number
  readonly end: number
}

/** First offset and end of each partition, as its leader tells them. The cluster must know the topics. */
export async function logRanges(cluster: Cluster, partitions: readonly TopicPartition[]): Promise<LogRange[]> {
  const leaders = Map.groupBy(partitions, ({ topic, partition }) => {
    const found = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)
    if (found === undefined || found.leader < 0) throw new Error(`${topic}/${partition} has no leader`)
    return found.leader
  })
  const ranges = await Promise.all(
    [...leaders].map(async ([nodeId, led]) => {
      const node = await cluster.findBroker({ nodeId })
      const [starts, ends] = await Promise.all([listOffsets(node, led, START), listOffsets(node, led, END)])
      return led.map((at) => ({ ...at, start: starts.get(keyOf(at))!, end: ends.get(keyOf(at))! }))
    }),
  )
  return ranges.flat()
}

/** The group's committed offsets, where there is one. */
export async function committedOffsets(
  cluster: Cluster,
  group: string,
  partitions: readonly TopicPartition[],
): Promise<Required<Commit>[]> {
  const coordinator = await cluster.findGroupCoordinator({ groupId: group })
  const { responses } = await coordinator.offsetFetch({ groupId: group, topics: byTopic(partitions) })
  return responses.flatMap(({ topic, partitions }) =>
    partitions.flatMap(({ partition, offset, metadata }) =>
      Number(offset) < 0 ? [] : [{ topic, partition, offset: Number(offset), metadata: metadata ?? '' }],
    ),
  )
}

/** Requests of Kafka list partitions under their topic. */
export function byTopic<P extends TopicPartition>(partitions: readonly P[]): { topic: string; partitions: P[] }[] {
  return [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, partitions]) => ({ topic, partitions }))
}

async function listOffsets(
  node: Node,
  partitions: readonly TopicPartition[],
  timestamp: number,
): Promise<Map<string, number>> {
  const topics = byTopic(partitions.map((at) => ({ ...at, timestamp })))
  const { responses } = await node.listOffsets({ isolationLevel: UNCOMMITTED, topics })
  return new Map(
    responses.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset }) => [keyOf({ topic, partition }), Number(offset)] as const),
    ),
  )
}

export const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

const START = -2
const END = -1
/** The end of the log then counts what open transactions have written. */
const UNCOMMITTED = 0
