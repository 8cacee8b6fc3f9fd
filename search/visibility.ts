import { isTenantName } from '../schemas/tenant-name.ts'
import { Fatal } from '../streams/errors.ts'

/** What a verified principal says about what it may be shown. Every read takes one: none is made without. */
export interface Reader {
  readonly tenant: string
  readonly groups: readonly string[]
}

/** Who is in it is shown everything of the tenant. */
export const EVERY_GROUP = '*'
/** UTF-16 units of the name of a group. */
export const groupCharsMax = 256

/** What a reader may be shown: documents of the tenant without an `acl`, and those whose `acl` names one of the groups. */
export interface Visibility {
  readonly tenant: string
  /** null: all of the tenant, whatever its `acl`. */
  readonly groups: readonly string[] | null
}

/** The one place where a principal becomes a filter. Throws `Fatal` for whatever does not say plainly whose documents are meant. */
export function visibilityOf(reader: Reader): Visibility {
  const { tenant, groups }: { tenant?: unknown; groups?: unknown } = reader ?? {}
  if (!isTenantName(tenant)) throw new Fatal('a read without a tenant')
  if (!Array.isArray(groups) || !groups.every(isGroup)) throw new Fatal('a read without a list of groups')
  return { tenant, groups: groups.includes(EVERY_GROUP) ? null : [...new Set(groups)] }
}

const isGroup = (group: unknown): group is string => typeof group === 'string' && group !== ''

/** Whether a document of this key can be the reader's at all. */
export const isOwn = ({ tenant }: Visibility, key: string): boolean => key.startsWith(`${tenant}/`)

/** Whether a document of the tenant with this `acl` is shown, exactly as the index decides. */
export const isShown = ({ groups }: Visibility, acl: readonly string[] | null): boolean =>
  groups === null || acl === null || acl.length === 0 || acl.some((group) => groups.includes(group))
