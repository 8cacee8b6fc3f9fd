import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KafkaUser } from '../../../services/rights.ts'
import type { Ports } from '../ports.ts'
import { read, type Secured, type SecuredUser } from './secured.ts'

/** The settings by which one of Freshet's processes reaches a secured stack: its secrets in files. */
export function credentialsOf(secured: Secured, ports: Ports, user: KafkaUser): Record<string, string> {
  return {
    ...kafkaCredentials(secured, ports, user),
    FRESHET_REGISTRY: registryUrl(ports),
    FRESHET_REGISTRY_CA: secured.ca,
    FRESHET_REGISTRY_TOKEN_FILE: secured.registryTokenOf(user),
    // The gateway has nothing to do with the index.
    ...(user !== 'gateway' && {
      FRESHET_QDRANT_URL: `https://127.0.0.1:${ports.qdrant}`,
      FRESHET_QDRANT_CA: secured.ca,
      FRESHET_QDRANT_API_KEY_FILE: secured.qdrantKey,
    }),
  }
}

/** Of Kafka alone. */
export function kafkaCredentials(secured: Secured, ports: Ports, user: SecuredUser): Record<string, string> {
  return {
    FRESHET_KAFKA: `127.0.0.1:${ports.kafka}`,
    FRESHET_KAFKA_SECURITY: 'sasl-tls',
    FRESHET_KAFKA_CA: secured.ca,
    FRESHET_KAFKA_USERNAME: user,
    FRESHET_KAFKA_PASSWORD_FILE: secured.passwordOf(user),
  }
}

/** For people: one file that `FRESHET_CONFIG` names, with all that the command line needs. Answers its path. */
export function writeOperatorConfig(secured: Secured, ports: Ports, { dataDir, toolsDir }: Folders): string {
  const path = join(dataDir, 'operator.json')
  const settings = {
    portBase: ports.kafka - KAFKA_OFFSET,
    data: dataDir,
    tools: toolsDir,
    url: `https://127.0.0.1:${ports.gateway}`,
    urlCa: secured.ca,
    kafka: `127.0.0.1:${ports.kafka}`,
    kafkaSecurity: 'sasl-tls',
    kafkaCa: secured.ca,
    kafkaUsername: 'operator',
    kafkaPassword: read(secured.passwordOf('operator')),
    registry: registryUrl(ports),
    registryCa: secured.ca,
    registryToken: read(secured.registryTokenOf('operator')),
    qdrantUrl: `https://127.0.0.1:${ports.qdrant}`,
    qdrantCa: secured.ca,
    qdrantApiKey: read(secured.qdrantKey),
  }
  writeFileSync(path, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600 })
  return path
}

interface Folders {
  readonly dataDir: string
  readonly toolsDir: string
}

/** Of the gateway: its door speaks TLS. */
export const doorCertificate = ({ certificate, key }: Secured): Record<string, string> => ({
  FRESHET_TLS_CERT: certificate,
  FRESHET_TLS_KEY: key,
})

const registryUrl = ({ registry }: Ports): string => `https://127.0.0.1:${registry}/apis/ccompat/v7`
const KAFKA_OFFSET = 92
