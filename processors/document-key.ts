import { isUtf8 } from 'node:buffer'
import { isTenantName, TENANT_NAME_IN_WORDS } from '../schemas/tenant-name.ts'
import { Reject } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { shown } from './clean-characters.ts'

/** Bytes of a key in UTF-8, the tenant and the slash counted. */
export const keyBytesMax = 512

const fix = 'the key must be tenant/id in UTF-8, like acme/handbook-7'

/**
 * Takes the key of a document, `tenant/id`, apart. The id is everything behind the first slash, and may hold more of them.
 * Throws `Reject` for a key that no document can have.
 */
export function checkKey(key: Buffer | string | null): { tenant: string; id: string } {
  if (key === null) throw new Reject(`key: is null; ${fix}`)
  const bytes = typeof key === 'string' ? Buffer.byteLength(key) : key.length
  if (bytes > keyBytesMax)
    throw new Reject(`key: has ${bytes} bytes (${printable(key)}), more than ${keyBytesMax}; use a shorter id`)
  if (typeof key === 'string' ? !key.isWellFormed() : !isUtf8(key))
    throw new Reject(`key: is not valid UTF-8 (${printable(key)}); ${fix}`)
  const text = key.toString()
  const slash = text.indexOf('/')
  if (slash < 0) throw new Reject(`key: has no slash (${shown(text)}); ${fix}`)
  const tenant = text.slice(0, slash)
  const id = text.slice(slash + 1)
  if (tenant.startsWith('~')) throw new Reject(`key: tenant ${shown(tenant)} is reserved; ${fix}`)
  if (!isTenantName(tenant)) throw new Reject(`key: tenant ${shown(tenant)} ${TENANT_NAME_IN_WORDS}; ${fix}`)
  if (id === '') throw new Reject(`key: the id is empty (${shown(text)}); ${fix}`)
  if (/\p{Cc}/u.test(id)) throw new Reject(`key: the id has control characters (${shown(id)}); remove them`)
  return { tenant, id }
}

/** Whether a document can have this key. */
export function isDocumentKey(key: Buffer | string | null): boolean {
  try {
    checkKey(key)
    return true
  } catch (error) {
    if (error instanceof Reject) return false
    throw error
  }
}

/** The document that a record of this partition belongs to; null for progress, a malformed key, one of another partition: they have dead letters, and nothing in the index. */
export function documentKeyIn(key: Buffer | null, partition: number, partitions: number): string | null {
  if (key === null || !isDocumentKey(key) || partitionOf(key, partitions) !== partition) return null
  return key.toString('utf8')
}

/** The bytes as Latin-1 would have them, since they may be no text at all. */
function printable(key: Buffer | string): string {
  return shown(typeof key === 'string' ? key : key.toString('latin1'))
}

/** Of a sound key. */
export const tenantOf = (key: string): string => key.slice(0, key.indexOf('/'))
