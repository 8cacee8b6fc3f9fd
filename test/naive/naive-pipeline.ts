import { createHash } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { connectQdrant } from '../../connectors/qdrant/client.ts'
import { hashEngine } from '../../engine/hash-engine.ts'
import { type Content, payload } from '../../infra/local/qdrant/requests.ts'
import type { Document } from '../../schemas/records.ts'
import { documents } from '../../schemas/topics.ts'
import { confluentRegistry } from '../../streams/registry.ts'
import { avroSerde } from '../../streams/serde.ts'

/**
 * AN EXAMPLE OF WHAT NOT TO DO: the pipeline as most people write it first. It is here so that the oracle can be seen to find what is
 * wrong with it; nothing else uses it. A point's id is made of key and ordinal, so a document that shrinks leaves its last chunks behind,
 * beside the first ones of another revision; a record that cannot be read throws, and everything behind it waits for ever.
 */
export interface NaiveOptions {
  readonly kafka: string
  readonly registry: string
  readonly qdrantUrl: string
  readonly topic: string
  readonly collection: string
}

const { kafka, registry, qdrantUrl, topic, collection } = JSON.parse(process.argv[2]!) as NaiveOptions
const engine = hashEngine()
const serde = avroSerde(confluentRegistry(registry), { prefix: '', space: engine.space.id })
const qdrant = connectQdrant({ url: qdrantUrl })
const consumer = new Kafka({ brokers: [kafka], logLevel: logLevel.NOTHING }).consumer({
  groupId: `${topic}.naive`,
  retry: { retries: 1, initialRetryTime: 50 },
})
consumer.on('consumer.crash', ({ payload: { error } }) => console.log(`crashed: ${error.message}`))
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await consumer.run({
  async eachBatch({ batch, resolveOffset }) {
    for (const { key, value, offset } of batch.messages) {
      if (value === null) await erase(String(key))
      else await write(String(key), Number(offset), (await serde.decode(documents, value)) as Document)
      resolveOffset(offset)
    }
  },
})

async function write(key: string, offset: number, { text, title, url, attributes }: Document): Promise<void> {
  const chunks = await engine.split(text)
  const vectors = await engine.embed(
    chunks.map((chunk) => chunk.text),
    { as: 'document' },
  )
  const points = chunks.map((chunk, i) => ({
    id: { pointIdOptions: { case: 'uuid' as const, value: idOf(`${key}#${chunk.ordinal}`) } },
    vectors: {
      vectorsOptions: {
        case: 'vector' as const,
        value: { vector: { case: 'dense' as const, value: { data: Array.from(vectors[i]!) } } },
      },
    },
    payload: payload({ key, offset, ...chunk, title, url, attributes: attributes as Record<string, Content> }),
  }))
  if (points.length > 0) await qdrant.points.upsert({ collectionName: collection, wait: true, points })
}

async function erase(key: string): Promise<void> {
  const field = { key: 'key', match: { matchValue: { case: 'keyword' as const, value: key } } }
  const filter = { must: [{ conditionOneOf: { case: 'field' as const, value: field } }] }
  const points = { pointsSelectorOneOf: { case: 'filter' as const, value: filter } }
  await qdrant.points.delete({ collectionName: collection, wait: true, points })
}

function idOf(name: string): string {
  const hex = createHash('sha1').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
