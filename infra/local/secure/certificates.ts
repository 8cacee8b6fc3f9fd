import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { isIPv4 } from 'node:net'
import { around, bits, type Der, inPlace, integer, objectId, octets, sequence, setOf, text, time, yes } from './der.ts'

/** A certificate and its key, PEM. */
export interface Certified {
  readonly certificate: string
  readonly key: string
}

/**
 * X.509 for a machine's own use (RFC 5280): an authority, and what it signs. Node.js reads certificates and makes none; keytool makes some and
 * gives no key away.
 */
export function authority(name: string, now: Date): Certified {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = { name, key: privateKey, publicKey }
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(yes), true),
    // keyCertSign and cRLSign.
    extension(KEY_USAGE, bits(Buffer.from([0b0000_0110]), 1), true),
    ...keyIds(publicKey, publicKey),
  ]
  return { certificate: issue(name, publicKey, issuer, extensions, now, AUTHORITY_DAYS), key: pem(privateKey) }
}

/** For a server at these names and addresses (IPv4), or a client. */
export function signedBy(ca: Certified, name: string, hosts: readonly string[], now: Date): Certified {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const own = new X509Certificate(ca.certificate)
  const issuer = {
    name: /CN=(.*)/.exec(own.subject)?.[1] ?? '',
    key: createPrivateKey(ca.key),
    publicKey: own.publicKey,
  }
  const names = hosts.map((host) =>
    isIPv4(host) ? inPlace(7, Buffer.from(host.split('.').map(Number))) : inPlace(2, Buffer.from(host, 'ascii')),
  )
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(), true),
    // digitalSignature.
    extension(KEY_USAGE, bits(Buffer.from([0b1000_0000]), 7), true),
    extension(EXTENDED_KEY_USAGE, sequence(objectId(SERVER_AUTH), objectId(CLIENT_AUTH))),
    ...(names.length > 0 ? [extension(ALTERNATIVE_NAMES, sequence(...names))] : []),
    ...keyIds(publicKey, issuer.publicKey),
  ]
  return { certificate: issue(name, publicKey, issuer, extensions, now, SIGNED_DAYS), key: pem(privateKey) }
}

interface Issuer {
  readonly name: string
  readonly key: KeyObject
  readonly publicKey: KeyObject
}

function issue(
  name: string,
  publicKey: KeyObject,
  issuer: Issuer,
  extensions: readonly Der[],
  now: Date,
  days: number,
): string {
  const version3 = around(0, integer(Buffer.from([2])))
  const from = new Date(now.getTime() - CLOCK_SKEW_MS)
  const until = new Date(now.getTime() + days * 86_400_000)
  const signed = sequence(
    version3,
    integer(randomBytes(SERIAL_BYTES)),
    ECDSA_SHA256,
    named(issuer.name),
    sequence(time(from), time(until)),
    named(name),
    spki(publicKey),
    around(3, sequence(...extensions)),
  )
  const der = sequence(signed, ECDSA_SHA256, bits(sign('sha256', signed, issuer.key)))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function named(name: string): Der {
  // Others, like commas, are escaped wherever a name is shown, and would come back as another name.
  if (!/^[\w .-]+$/.test(name))
    throw new Error(`name: ${name} has more in it than letters, digits, spaces, dots and hyphens`)
  return sequence(setOf(sequence(objectId('2.5.4.3'), text(name))))
}

const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })
const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const extension = (id: string, value: Der, critical = false): Der =>
  sequence(objectId(id), ...(critical ? [yes] : []), octets(value))

function keyIds(subject: KeyObject, issuer: KeyObject): Der[] {
  const id = (key: KeyObject) => createHash('sha1').update(spki(key)).digest()
  return [extension(SUBJECT_KEY_ID, octets(id(subject))), extension(AUTHORITY_KEY_ID, sequence(inPlace(0, id(issuer))))]
}

const ECDSA_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'))
const BASIC_CONSTRAINTS = '2.5.29.19'
const KEY_USAGE = '2.5.29.15'
const EXTENDED_KEY_USAGE = '2.5.29.37'
const ALTERNATIVE_NAMES = '2.5.29.17'
const SUBJECT_KEY_ID = '2.5.29.14'
const AUTHORITY_KEY_ID = '2.5.29.35'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const SERIAL_BYTES = 16
const AUTHORITY_DAYS = 3_650
const SIGNED_DAYS = 397
const CLOCK_SKEW_MS = 3_600_000
