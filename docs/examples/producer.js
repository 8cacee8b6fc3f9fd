/**
 * Writes documents straight to `documents`, with kafkajs 2 (npm install kafkajs @kafkajs/confluent-schema-registry avsc).
 *
 *     node producer.js KAFKA REGISTRY TOPIC TENANT
 *
 *     node producer.js 127.0.0.1:18092 http://127.0.0.1:18081/apis/ccompat/v7 documents acme
 *
 * docs/producers.md has the contract. The default partitioner of kafkajs 2 is Java's; that of kafkajs 1, `LegacyPartitioner`, is not.
 */
import { readFileSync } from 'node:fs'
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import { Kafka, logLevel, Partitioners } from 'kafkajs'

const [, , kafkaAddress, registryUrl, topic, tenant] = process.argv
if (tenant === undefined) throw new Error('give: KAFKA REGISTRY TOPIC TENANT')
const { vectors } = JSON.parse(readFileSync(new URL('partitioner-vectors.json', import.meta.url), 'utf8'))

checkPartitioner()
const registry = new SchemaRegistry({ host: registryUrl })
// The schema that the platform has registered, never one of ours.
const schemaId = await registry.getLatestSchemaId(`${topic}-value`)
const kafka = new Kafka({ clientId: 'example-producer', brokers: [kafkaAddress], logLevel: logLevel.ERROR })
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true })
await producer.connect()
try {
  for (const { key, value } of documents()) {
    const [at] = await producer.send({
      topic,
      acks: -1,
      messages: [
        {
          key,
          value: value === null ? null : await registry.encode(schemaId, value),
          headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
        },
      ],
    })
    console.log(JSON.stringify({ key, partition: at.partition, offset: Number(at.baseOffset) }))
  }
} finally {
  await producer.disconnect()
}

/** The keys of the vectors that begin with the tenant; the last one is written and then deleted. */
function documents() {
  const keys = vectors.map(({ key }) => key).filter((key) => key.startsWith(`${tenant}/`))
  const written = keys.map((key) => ({
    key,
    value: {
      title: null,
      text: `The curlew of Node calls in ${key}.`,
      url: null,
      language: 'en',
      attributes: { by: 'node' },
      acl: null,
      cleaning: '',
    },
  }))
  return [...written, { key: keys.at(-1), value: null }]
}

function checkPartitioner() {
  const partitionOf = Partitioners.DefaultPartitioner()
  const partitionMetadata = Array.from({ length: 12 }, (_, partitionId) => ({ partitionId, leader: 0 }))
  for (const { key, partitionOf12 } of vectors) {
    // Records without a key go round; no document is one.
    if (key === '') continue
    const found = partitionOf({ topic, partitionMetadata, message: { key, value: null } })
    if (found !== partitionOf12) throw new Error(`${key}: partition ${found}, not ${partitionOf12}`)
  }
}
