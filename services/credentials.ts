import { readFileSync } from 'node:fs'
import type { QdrantOptions } from '../connectors/qdrant/client.ts'
import type { KafkaSecurity, Sasl } from '../streams/brokers/kafka-security.ts'
import type { RegistryAccess } from '../streams/registry.ts'
import type { CredentialConfig } from './credential-settings.ts'
import { clientCredentials } from './oauth-token.ts'

/** From settings to what the clients ask for. Files are read at each connection, so they may be renewed while we run. */
export function kafkaSecurity(config: CredentialConfig): KafkaSecurity {
  const { kafkaSecurity: security, kafkaCa, kafkaCert, kafkaKey } = config
  const files = { ca: kafkaCa, cert: kafkaCert, key: kafkaKey }
  const sasl = security.startsWith('sasl') ? saslOf(config) : null
  return {
    tls: security.endsWith('tls')
      ? () => Object.fromEntries(Object.entries(files).flatMap(([name, path]) => (path ? [[name, read(path)]] : [])))
      : null,
    sasl,
    how: howWeCome(config),
  }
}

export function registryAccess(config: CredentialConfig): RegistryAccess {
  const { registryUsername: user, registryPassword: password, registryToken: token, registryCa: ca } = config
  return {
    authorization() {
      if (token !== undefined) return `Bearer ${token.value}`
      if (user === undefined || password === undefined) return null
      return `Basic ${Buffer.from(`${user}:${password.value}`).toString('base64')}`
    },
    ca: () => (ca === undefined ? null : read(ca)),
    how:
      token !== undefined
        ? 'correct registryToken'
        : user !== undefined
          ? `registryUsername is ${user}: correct it, or registryPassword`
          : 'set registryToken, or registryUsername and registryPassword',
  }
}

export function qdrantAccess({ qdrantApiKey: key, qdrantCa: ca }: CredentialConfig): Omit<QdrantOptions, 'url'> {
  return {
    ...(key !== undefined && { apiKey: () => key.value }),
    ...(ca !== undefined && { ca: read(ca) }),
    how: key === undefined ? 'set qdrantApiKey' : 'correct qdrantApiKey',
  }
}

const read = (path: string): string => readFileSync(path, 'utf8')

function saslOf(config: CredentialConfig): Sasl {
  const { kafkaSaslMechanism, kafkaUsername, kafkaPassword, kafkaOauthToken } = config
  if (kafkaSaslMechanism !== 'oauthbearer') {
    const mechanism = ({ plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const)[
      kafkaSaslMechanism
    ]
    return { mechanism, user: () => ({ username: kafkaUsername!, password: kafkaPassword!.value }) }
  }
  if (kafkaOauthToken !== undefined) return { mechanism: 'OAUTHBEARER', token: async () => kafkaOauthToken.value }
  const { kafkaOauthTokenUrl, kafkaOauthClientId, kafkaOauthClientSecret, kafkaOauthScope } = config
  const token = clientCredentials({
    url: kafkaOauthTokenUrl!,
    id: kafkaOauthClientId!,
    secret: () => kafkaOauthClientSecret!.value,
    ...(kafkaOauthScope !== undefined && { scope: kafkaOauthScope }),
  })
  return { mechanism: 'OAUTHBEARER', token }
}

/** For who reads that Kafka did not let us in. */
function howWeCome({
  kafkaSecurity,
  kafkaSaslMechanism,
  kafkaUsername,
  kafkaOauthToken,
  kafkaCa,
}: CredentialConfig): string {
  const settings = [`kafkaSecurity is ${kafkaSecurity}`]
  if (kafkaSecurity.endsWith('tls')) settings.push(`kafkaCa is ${kafkaCa ?? 'not set'}`)
  if (kafkaSecurity.startsWith('sasl')) {
    settings.push(`kafkaSaslMechanism is ${kafkaSaslMechanism}`)
    if (kafkaSaslMechanism !== 'oauthbearer') settings.push(`kafkaUsername is ${kafkaUsername}, with kafkaPassword`)
    else settings.push(kafkaOauthToken === undefined ? 'with a token from kafkaOauthTokenUrl' : 'with kafkaOauthToken')
  }
  return `look at these settings: ${settings.join(', ')}`
}
