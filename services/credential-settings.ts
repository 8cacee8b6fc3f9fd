import { z } from 'zod'
import { unreadableFaults } from './readable-files.ts'
import { SECRET, secretSetting } from './secret.ts'

/** An address that shows up in messages, so it holds nothing that is secret. */
export const addressSetting = (instead: string) =>
  z.url().refine((url) => !URL.canParse(url) || (new URL(url).username === '' && new URL(url).password === ''), {
    message: `holds a user or a password; put them into ${instead}`,
  })

/** How Kafka, the registry and Qdrant are reached, where they want to know who comes. Every role and command has these settings. */
export const credentialSettings = {
  kafkaSecurity: z
    .enum(['plaintext', 'tls', 'sasl-plaintext', 'sasl-tls'])
    .default('plaintext')
    .describe('How Kafka’s listener is protected; sasl: it wants a user.'),
  kafkaCa: z
    .string()
    .optional()
    .describe('File with the certificates that Kafka’s is signed by, PEM. Default: those that Node.js trusts.'),
  kafkaCert: z.string().optional().describe('File with our certificate for Kafka, PEM, where it wants one.'),
  kafkaKey: z.string().optional().describe('File with the private key of kafkaCert, PEM.'),
  kafkaSaslMechanism: z
    .enum(['scram-sha-512', 'scram-sha-256', 'plain', 'oauthbearer'])
    .default('scram-sha-512')
    .describe('How we show Kafka who we are.'),
  kafkaUsername: z.string().min(1).optional().describe('Our user in Kafka, for all mechanisms but oauthbearer.'),
  kafkaPassword: secretSetting().optional().meta(SECRET).describe('The password of kafkaUsername.'),
  kafkaOauthToken: secretSetting()
    .optional()
    .meta(SECRET)
    .describe('For oauthbearer: the token itself, in a file that is written anew before it expires.'),
  kafkaOauthTokenUrl: addressSetting('kafkaOauthClientId and kafkaOauthClientSecret')
    .optional()
    .describe('For oauthbearer without kafkaOauthToken: where a token is asked for, by client credentials.'),
  kafkaOauthClientId: z.string().min(1).optional().describe('Who asks at kafkaOauthTokenUrl.'),
  kafkaOauthClientSecret: secretSetting().optional().meta(SECRET).describe('The secret of kafkaOauthClientId.'),
  kafkaOauthScope: z.string().min(1).optional().describe('The scope that is asked for at kafkaOauthTokenUrl.'),
  registryUsername: z.string().min(1).optional().describe('Our user at the schema registry (HTTP basic).'),
  registryPassword: secretSetting().optional().meta(SECRET).describe('The password of registryUsername.'),
  registryToken: secretSetting()
    .optional()
    .meta(SECRET)
    .describe('A bearer token for the schema registry, instead of a user.'),
  registryCa: z.string().optional().describe('As kafkaCa, for a schema registry with https.'),
  qdrantApiKey: secretSetting().optional().meta(SECRET).describe('Qdrant’s API key.'),
  qdrantCa: z.string().optional().describe('As kafkaCa, for a Qdrant with https.'),
} as const

const shape = z.object(credentialSettings)
export type CredentialConfig = z.infer<typeof shape>

/** What is wrong between settings, each in itself being right; in words that name the setting and its variable. */
export function credentialFaults(config: CredentialConfig, variableOf: (name: string) => string): string[] {
  const faults: string[] = []
  const missing = (name: keyof CredentialConfig, because: string) => {
    if (config[name] === undefined) faults.push(`${name} is not set, and ${because}; set ${variableOf(name)}`)
  }
  const needless = (name: keyof CredentialConfig, because: string, fix: string) => {
    if (config[name] !== undefined) faults.push(`${name} is set, and ${because}; ${fix}`)
  }
  const { kafkaSecurity, kafkaSaslMechanism } = config
  if (kafkaSecurity.startsWith('sasl') && kafkaSaslMechanism === 'oauthbearer') {
    if (config.kafkaOauthToken === undefined) {
      const because = 'kafkaSaslMechanism is oauthbearer without a kafkaOauthToken'
      missing('kafkaOauthTokenUrl', because)
      missing('kafkaOauthClientId', because)
      missing('kafkaOauthClientSecret', because)
    }
  } else if (kafkaSecurity.startsWith('sasl')) {
    const because = `kafkaSecurity is ${kafkaSecurity} with ${kafkaSaslMechanism}`
    missing('kafkaUsername', because)
    missing('kafkaPassword', because)
  } else {
    const because = `kafkaSecurity is ${kafkaSecurity}, which asks nobody who they are`
    const fix = `set ${variableOf('kafkaSecurity')} to sasl-tls, or leave it out`
    for (const name of ['kafkaUsername', 'kafkaPassword', 'kafkaOauthToken'] as const) needless(name, because, fix)
  }
  if (kafkaSecurity.endsWith('plaintext'))
    for (const name of ['kafkaCa', 'kafkaCert'] as const)
      needless(
        name,
        `kafkaSecurity is ${kafkaSecurity}, without TLS`,
        `set ${variableOf('kafkaSecurity')} to tls or sasl-tls, or leave it out`,
      )
  if (config.kafkaCert !== undefined) missing('kafkaKey', 'kafkaCert is')
  if (config.kafkaKey !== undefined) missing('kafkaCert', 'kafkaKey is')
  if (config.registryUsername !== undefined) missing('registryPassword', 'registryUsername is')
  if (config.registryPassword !== undefined) missing('registryUsername', 'registryPassword is')
  if (config.registryToken !== undefined) needless('registryUsername', 'registryToken is too', 'choose one')
  return [
    ...faults,
    ...unreadableFaults(['kafkaCa', 'kafkaCert', 'kafkaKey', 'registryCa', 'qdrantCa'], config, variableOf),
  ]
}
