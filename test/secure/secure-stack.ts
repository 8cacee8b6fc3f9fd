import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { localRoles } from '../../cli/roles.ts'
import { freeBase, type Ports, portsFrom } from '../../infra/local/ports.ts'
import {
  credentialsOf,
  doorCertificate,
  kafkaCredentials,
  writeOperatorConfig,
} from '../../infra/local/secure/credentials.ts'
import { type Secured, type SecuredUser, secured } from '../../infra/local/secure/secured.ts'
import { localSettings } from '../../infra/local/settings.ts'
import { type Stack, startStack } from '../../infra/local/stack.ts'
import { loadConfig, type PlatformConfig, platformConfig } from '../../services/config.ts'
import { type Outside, openOutside } from '../../services/outside.ts'
import type { KafkaUser } from '../../services/rights.ts'

/** What `freshet up --secure` starts, without Connect and with vectors without a model; besides passwords Kafka takes tokens of ours. */
export interface SecureStack extends AsyncDisposable {
  readonly stack: Stack
  readonly ports: Ports
  readonly made: Secured
  readonly dataDir: string
  /** For `FRESHET_CONFIG` of the command line. */
  readonly operatorConfig: string
  /** Kafka, registry and Qdrant as this user comes to them; `env` over its credentials. Closed with the stack. */
  as(user: KafkaUser, env?: Readonly<Record<string, string>>): Outside
  /** Kafka alone; also as `set-up`, who may do everything. */
  superUser(user: SecuredUser): Outside
  /** The settings for Kafka of this user. */
  configOf(user: SecuredUser): PlatformConfig
  /** A token that Kafka takes, if `audience` is kafka. */
  token(subject: string, audience: string, now?: number): Promise<string>
}

export async function secureStack(): Promise<SecureStack> {
  const { portBase: shared, toolsDir } = localSettings(process.env)
  const portBase = await freeBase(Math.min(shared + OWN_BASE_DISTANCE, OWN_BASE_MAX))
  const dataDir = mkdtempSync(join(tmpdir(), 'freshet-secure-'))
  const ports = portsFrom(portBase)
  const made = await secured(dataDir, new Date())
  const signing = await generateKeyPair('RS256')
  const jwks = join(dataDir, 'jwks.json')
  const key = { ...(await exportJWK(signing.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }
  writeFileSync(jwks, JSON.stringify({ keys: [key] }))
  const settings = { portBase, dataDir, toolsDir }
  const stack = await startStack({
    ...settings,
    parts: ['kafka', 'registry', 'qdrant'],
    roles: localRoles(settings, { FRESHET_ENGINE: 'hash', FRESHET_PARTITIONS: '2' }, (role) => ({
      ...credentialsOf(made, ports, role),
      ...(role === 'gateway' && doorCertificate(made)),
    })),
    secure: { made, oauth: { jwks: pathToFileURL(jwks).href, issuer: ISSUER, audience: 'kafka' } },
    report(event) {
      if (event.kind === 'failed') console.error(event.error.message)
    },
  })
  const open: Outside[] = []
  const outside = (env: Readonly<Record<string, string>>): Outside => {
    const one = openOutside(loadConfig(platformConfig, { env }), { clientId: 'test' })
    open.push(one)
    return one
  }
  return {
    stack,
    ports,
    made,
    dataDir,
    operatorConfig: writeOperatorConfig(made, ports, settings),
    as: (user, env = {}) => outside({ ...credentialsOf(made, ports, user), ...env }),
    configOf: (user) => loadConfig(platformConfig, { env: kafkaCredentials(made, ports, user) }),
    superUser: (user) => outside(kafkaCredentials(made, ports, user)),
    token: (subject, audience, now = Date.now()) =>
      new SignJWT({ scope: 'kafka' })
        .setProtectedHeader({ alg: 'RS256', kid: 'one' })
        .setSubject(subject)
        .setIssuer(ISSUER)
        .setAudience(audience)
        .setIssuedAt(new Date(now))
        .setExpirationTime(new Date(now + 3_600_000))
        .sign(signing.privateKey),
    async [Symbol.asyncDispose]() {
      await Promise.all(open.map((one) => one.close()))
      await stack.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

const ISSUER = 'https://tokens.example'
const OWN_BASE_DISTANCE = 3_000
const OWN_BASE_MAX = 62_000
