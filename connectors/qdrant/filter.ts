import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { TimestampSchema } from '@bufbuild/protobuf/wkt'
import { type ConditionSchema, DatetimeRangeSchema, type FilterSchema } from '@qdrant/js-client-grpc'
import { type Condition, type Filter, isOfDates, momentOf, partsOf, type Scalar } from '../../search/filter.ts'
import { type Reader, visibilityOf } from '../../search/visibility.ts'

export type FilterInit = MessageInitShape<typeof FilterSchema>
export type ConditionInit = MessageInitShape<typeof ConditionSchema>

/** What a reader may be shown, narrowed to what it asks for, and to `also`. Every read of what documents say has one. */
export function filterOf(reader: Reader, filter: Filter, also: readonly ConditionInit[] = []): FilterInit {
  const { must, mustNot } = asked(filter)
  return { must: [...visibleTo(reader), ...also, ...must], mustNot }
}

/** Begins with the tenant. */
function visibleTo(reader: Reader): ConditionInit[] {
  const { tenant, groups } = visibilityOf(reader)
  const own = keyword('tenant', tenant)
  if (groups === null) return [own]
  const unrestricted = isEmpty('acl')
  const ofGroups = field({ key: 'acl', match: { matchValue: { case: 'keywords', value: { strings: [...groups] } } } })
  return [own, nested({ should: groups.length === 0 ? [unrestricted] : [unrestricted, ofGroups] })]
}

function asked(filter: Filter): { must: ConditionInit[]; mustNot: ConditionInit[] } {
  const { attributes, and, or, not } = partsOf(filter)
  const must: ConditionInit[] = []
  const mustNot: ConditionInit[] = []
  for (const [name, condition] of attributes) {
    const key = attributePath(name)
    if (typeof condition === 'object' && 'not' in condition) mustNot.push(equals(key, condition.not))
    else if (typeof condition === 'object' && 'exists' in condition)
      (condition.exists ? mustNot : must).push(isEmpty(key))
    else must.push(conditionOf(key, condition))
  }
  must.push(...and.map((each) => nested(asked(each))))
  if (or.length > 0) must.push(nested({ should: or.map((each) => nested(asked(each))) }))
  if (not !== undefined) mustNot.push(nested(asked(not)))
  return { must, mustNot }
}

/** Where an attribute lies in a payload. A name with dots is one name. */
export const attributePath = (name: string): string => `attributes.${/^[\w-]+$/.test(name) ? name : `"${name}"`}`

function conditionOf(key: string, condition: Exclude<Condition, { not: Scalar } | { exists: boolean }>): ConditionInit {
  if (typeof condition !== 'object') return equals(key, condition)
  if ('in' in condition) return nested({ should: condition.in.map((each) => equals(key, each)) })
  if (!isOfDates(condition)) return field({ key, range: condition })
  const moments = Object.entries(condition).map(([bound, text]) => [bound, timestampOf(momentOf(text))])
  return field({ key, datetimeRange: create(DatetimeRangeSchema, Object.fromEntries(moments)) })
}

function timestampOf(micros: number) {
  const rest = ((micros % 1e6) + 1e6) % 1e6
  return create(TimestampSchema, { seconds: BigInt((micros - rest) / 1e6), nanos: rest * 1_000 })
}

function equals(key: string, value: Scalar): ConditionInit {
  if (typeof value === 'string') return keyword(key, value)
  // Numbers are stored as doubles, which only a range compares.
  if (typeof value === 'number') return field({ key, range: { gte: value, lte: value } })
  return field({ key, match: { matchValue: { case: 'boolean', value } } })
}

export const keyword = (key: string, value: string): ConditionInit =>
  field({ key, match: { matchValue: { case: 'keyword', value } } })

type FieldInit = Extract<NonNullable<ConditionInit['conditionOneOf']>, { case: 'field' }>['value']

export const field = (value: FieldInit): ConditionInit => ({ conditionOneOf: { case: 'field', value } })

const nested = (value: FilterInit): ConditionInit => ({ conditionOneOf: { case: 'filter', value } })

const isEmpty = (key: string): ConditionInit => ({ conditionOneOf: { case: 'isEmpty', value: { key } } })
