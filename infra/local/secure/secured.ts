import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { type KafkaUser, kafkaUsers } from '../../../services/rights.ts'
import { authority, signedBy } from './certificates.ts'

/** The keys and secrets of a stack, in files that only this user can read. The paths, and the few values that are no secrets. */
export interface Secured {
  readonly folder: string
  /** What everybody trusts. */
  readonly ca: string
  /** Of all that listen, PEM: apart, and in one file as Kafka wants it. */
  readonly certificate: string
  readonly key: string
  readonly both: string
  readonly qdrantKey: string
  /** DER in base64, as the registry takes it, of what its tokens are signed with. */
  readonly registryPublicKey: string
  passwordOf(user: SecuredUser): string
  registryTokenOf(user: KafkaUser): string
}

/** `broker` is Kafka itself, and `set-up` makes users and access lists: both may do everything. */
export type SecuredUser = KafkaUser | 'broker' | 'set-up'
export const securedUsers: readonly SecuredUser[] = [...kafkaUsers, 'broker', 'set-up']

/** Makes what is missing, and what would soon be too old anew, by the same authority. */
export async function secured(dataDir: string, now: Date): Promise<Secured> {
  const folder = join(dataDir, 'secrets')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const at = (name: string) => join(folder, name)
  const once = (name: string, make: () => string): string => {
    if (!existsSync(at(name))) writeSecret(at(name), make())
    return readFileSync(at(name), 'utf8').trim()
  }
  if (!existsSync(at('ca.key')) || !existsSync(at('ca.crt'))) {
    const ca = authority(`Freshet on this machine since ${now.toISOString().slice(0, 10)}`, now)
    writeSecret(at('ca.key'), ca.key)
    writeSecret(at('ca.crt'), ca.certificate)
  }
  const ca = { certificate: readFileSync(at('ca.crt'), 'utf8'), key: readFileSync(at('ca.key'), 'utf8') }
  if (!isFresh(at('server.crt'), now)) {
    const server = signedBy(ca, SERVER_NAME, ['127.0.0.1', 'localhost'], now)
    writeSecret(at('server.key'), server.key)
    writeSecret(at('server.pem'), server.key + server.certificate)
    writeSecret(at('server.crt'), server.certificate)
  }
  const password = () => randomBytes(PASSWORD_BYTES).toString('base64url')
  for (const user of securedUsers) once(`kafka-${user}`, password)
  once('qdrant-api-key', password)
  const signing = createPrivateKey(
    once('registry-signing.key', () =>
      generateKeyPairSync('rsa', { modulusLength: 2_048 })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
    ),
  )
  for (const user of kafkaUsers) {
    const token = await new SignJWT({ groups: [registryRole(user)] })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setSubject(user)
      .setIssuer('freshet')
      .setIssuedAt(now)
      .setExpirationTime(new Date(now.getTime() + TOKEN_DAYS * 86_400_000))
      .sign(signing)
    writeSecret(at(`registry-${user}`), token)
  }
  return {
    folder,
    ca: at('ca.crt'),
    certificate: at('server.crt'),
    key: at('server.key'),
    both: at('server.pem'),
    qdrantKey: at('qdrant-api-key'),
    registryPublicKey: createPublicKey(signing).export({ type: 'spki', format: 'der' }).toString('base64'),
    passwordOf: (user) => at(`kafka-${user}`),
    registryTokenOf: (user) => at(`registry-${user}`),
  }
}

/** The gateway only reads what others have registered. */
const registryRole = (user: KafkaUser): string => (user === 'gateway' ? 'sr-readonly' : 'sr-developer')

export const read = (path: string): string => readFileSync(path, 'utf8').trim()

function isFresh(path: string, now: Date): boolean {
  if (!existsSync(path)) return false
  return new X509Certificate(readFileSync(path)).validToDate.getTime() - now.getTime() > RENEW_DAYS * 86_400_000
}

/** Whole or not at all. */
function writeSecret(path: string, content: string): void {
  writeFileSync(`${path}.draft`, `${content.trim()}\n`, { mode: 0o600 })
  renameSync(`${path}.draft`, path)
}

/** Also Kafka's principal where it comes to itself by certificate. */
export const SERVER_NAME = 'freshet-server'
const PASSWORD_BYTES = 24
const TOKEN_DAYS = 397
/** A stack may run that long without a restart. */
const RENEW_DAYS = 60
