import { loadConfig, platformConfig } from '../../../services/config.ts'
import { kafkaSecurity } from '../../../services/credentials.ts'
import { aclsOf } from '../../../services/rights.ts'
import { kafkaBroker } from '../../../streams/brokers/kafka.ts'
import { setAcls } from '../../../streams/brokers/kafka-acls.ts'
import type { SecurePlaces } from '../parts/places.ts'
import type { Ports } from '../ports.ts'
import { kafkaCredentials } from './credentials.ts'

/** Rejects until Kafka lets the one in who sets up; then it gives each user what is declared, and takes away the rest. */
export async function setUpKafka({ made, topicPrefix, sources }: SecurePlaces, ports: Ports): Promise<void> {
  const config = loadConfig(platformConfig, { env: kafkaCredentials(made, ports, 'set-up') })
  const options = { brokers: [config.kafka!], clientId: 'freshet-set-up', security: kafkaSecurity(config) }
  const broker = kafkaBroker(options)
  try {
    await broker.admin.ready(READY_MS)
    await setAcls(options, aclsOf(topicPrefix, sources))
  } finally {
    await broker.close()
  }
}

const READY_MS = 1_000
