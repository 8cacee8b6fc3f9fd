import { EVERY_GROUP, groupCharsMax } from '../search/visibility.ts'
import { Reject } from '../streams/errors.ts'
import { shown } from './clean-characters.ts'

/**
 * The same groups, in order and none twice, so that two lists of the same groups are the same content. Names are compared as they are:
 * they are checked but never changed. Throws `Reject`.
 */
export function cleanAcl(acl: readonly string[] | null, limits: { readonly aclGroupsMax: number }): string[] | null {
  const fault = aclFault(acl, limits)
  if (fault !== null) throw new Reject(fault)
  return acl === null ? null : [...new Set(acl)].sort()
}

/** What is wrong with it, in words; null for what is sound. An empty list is not, since an index takes it for none at all. */
export function aclFault(acl: unknown, { aclGroupsMax }: { readonly aclGroupsMax: number }): string | null {
  if (acl === null) return null
  if (!Array.isArray(acl)) return `acl: ${shown(acl)} is not a list; send the names of groups, or leave it out`
  if (acl.length === 0) return 'acl: is empty; name at least one group, or leave it out'
  if (acl.length > aclGroupsMax)
    return `acl: names ${acl.length} groups, more than ${aclGroupsMax}; make one group of several`
  for (const [i, group] of acl.entries()) {
    if (typeof group !== 'string' || group === '')
      return `acl[${i}]: ${shown(group)} is not the name of a group; send one`
    if (group.length > groupCharsMax)
      return `acl[${i}]: has ${group.length} characters (${shown(group)}), more than ${groupCharsMax}; use a shorter name`
    if (!group.isWellFormed()) return `acl[${i}]: has half a surrogate pair (${shown(group)}); send well-formed Unicode`
    if (group === EVERY_GROUP)
      return `acl[${i}]: ${EVERY_GROUP} is no group; leave acl out to show the document to everyone of the tenant`
  }
  return null
}
