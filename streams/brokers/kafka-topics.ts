import type { TopicState } from '../broker.ts'
import { ByteReader } from './kafka-bytes.ts'
import { internal, type Node, type ProtocolRequest } from './kafka-client.ts'

/** All topics but Kafka's own, with their ids: Metadata v10, hand-encoded, since kafkajs speaks v6 at most and ids came with v10. */
export async function topicStates(node: Node): Promise<TopicState[]> {
  const connection = await node.connectionPool.getConnection(0)
  return connection.send(METADATA_V10)
}

const METADATA_V10: ProtocolRequest<TopicState[]> = {
  request: {
    apiKey: 3,
    apiVersion: 10,
    apiName: 'Metadata',
    async encode() {
      // The end of request header v2 (no tagged fields), which kafkajs does not write; then all topics (null), no
      // auto-creation, no authorized operations, no tagged fields.
      return new Encoder().writeBuffer(Buffer.from([0, 0, 0, 0, 0, 0]))
    },
  },
  response: { decode: async (bytes) => decode(bytes), parse: async (topics) => topics },
}

function decode(bytes: Buffer): TopicState[] {
  const reader = new ByteReader(bytes)
  /** Compact: one more than the length, 0 for null. */
  const text = () => reader.take(reader.uvarint() - 1).toString('utf8')
  const list = <T>(element: () => T) => reader.array(reader.uvarint() - 1, element)
  const tags = () =>
    reader.array(reader.uvarint(), () => {
      reader.uvarint()
      reader.take(reader.uvarint())
    })
  tags() // of the header
  reader.int32() // throttle time
  list(() => {
    reader.int32() // node
    text()
    reader.int32() // port
    text() // rack
    tags()
  })
  text() // cluster
  reader.int32() // controller
  const topics = list(() => {
    const errorCode = reader.int16()
    const name = text()
    const id = uuid(reader.take(16))
    const isInternal = reader.take(1)[0] === 1
    const partitions = list(() => {
      reader.take(2 + 4 + 4 + 4) // error, partition, leader, epoch
      for (let lists = 0; lists < 3; lists++) list(() => reader.int32()) // replicas, in sync, offline
      tags()
    })
    reader.int32() // authorized operations
    tags()
    return { errorCode, isInternal, state: { name, id, partitions: partitions.length } }
  })
  return topics.filter(({ errorCode, isInternal }) => errorCode === 0 && !isInternal).map(({ state }) => state)
}

const uuid = (bytes: Buffer): string => bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

const Encoder = internal<new () => { writeBuffer(bytes: Buffer): unknown }>('protocol/encoder.js')
