import kafkajs from 'kafkajs'
import type { TopicPartition } from '../broker.ts'

const { AssignerProtocol } = kafkajs

/** What members of one group have in common; members of another protocol cannot join. */
export const ASSIGNER = 'freshet-round-robin'

export function encodeSubscription(topics: readonly string[]): Buffer {
  return AssignerProtocol.MemberMetadata.encode({ version: 0, topics: [...topics], userData: Buffer.alloc(0) })
}

export function subscriptionOf(metadata: Buffer): readonly string[] {
  return AssignerProtocol.MemberMetadata.decode(metadata)?.topics ?? []
}

export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  const decoded = AssignerProtocol.MemberAssignment.decode(bytes)
  return Object.entries(decoded?.assignment ?? {}).flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition })),
  )
}

/** Each partition goes to the member that wants its topic and has the fewest yet, the first by id among equals. */
export function deal(
  members: readonly { memberId: string; topics: readonly string[] }[],
  partitionsOf: (topic: string) => readonly number[],
): { memberId: string; memberAssignment: Buffer }[] {
  const inOrder = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const dealt = new Map<string, Record<string, number[]>>(inOrder.map(({ memberId }) => [memberId, {}]))
  const counts = new Map(inOrder.map(({ memberId }) => [memberId, 0]))
  const topics = [...new Set(inOrder.flatMap(({ topics }) => topics))].sort()
  for (const topic of topics) {
    const takers = inOrder.filter((member) => member.topics.includes(topic))
    for (const partition of partitionsOf(topic)) {
      const taker = takers.reduce((least, one) =>
        counts.get(one.memberId)! < counts.get(least.memberId)! ? one : least,
      )
      counts.set(taker.memberId, counts.get(taker.memberId)! + 1)
      const assignment = dealt.get(taker.memberId)!
      assignment[topic] ??= []
      assignment[topic].push(partition)
    }
  }
  return [...dealt].map(([memberId, assignment]) => ({
    memberId,
    memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment, userData: Buffer.alloc(0) }),
  }))
}
