import { z } from 'zod'
import { shownAs } from './shown-as.ts'

/**
 * What a search may be narrowed to: each named attribute must hold. A value alone means equal (or, of a list attribute,
 * contains). `{ in: [...] }` is any of, `{ not: value }` none, `{ exists: true }` there at all; `{ gt, gte, lt, lte }` are bounds of numbers, or of
 * dates where they are text. `$and` and `$or` take several filters, `$not` one.
 */
const scalar = z.union([z.string().max(4_096), z.number(), z.boolean()])
const moment = z.iso.datetime({ offset: true, error: 'is no date; write it like 2026-11-24T08:00:00Z' })
const bounds = <T extends z.ZodType>(of: T) =>
  z
    .strictObject({ gt: of.optional(), gte: of.optional(), lt: of.optional(), lte: of.optional() })
    .refine((range) => Object.keys(range).length > 0, 'names no bound; give gt, gte, lt or lte')
const condition = z.union(
  [
    scalar,
    z.strictObject({ in: z.array(scalar).min(1).max(100) }),
    z.strictObject({ not: scalar }),
    z.strictObject({ exists: z.boolean() }),
    bounds(z.number()),
    bounds(moment),
  ],
  'is no condition; give a value, or one of in, not, exists, or gt, gte, lt, lte: numbers, or dates like 2026-11-24T08:00:00Z',
)

/** Of the whole filter. */
export const CONDITIONS_MAX = 32
const DEPTH_MAX = 4

export const attributeName = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/
const several = (depth: number): z.ZodType<Filter[]> => z.array(level(depth)).min(1).max(CONDITIONS_MAX)

function level(depth: number): z.ZodType<Filter> {
  const attributes = z.record(z.string().regex(attributeName, 'is not the name of an attribute'), condition)
  if (depth === 1) return attributes as z.ZodType<Filter>
  const combined = z.object({
    $and: several(depth - 1).optional(),
    $or: several(depth - 1).optional(),
    $not: level(depth - 1).optional(),
  })
  return combined.catchall(condition).superRefine((filter, context) => {
    for (const name of Object.keys(filter))
      if (!COMBINATIONS.has(name) && !attributeName.test(name))
        context.addIssue({ code: 'custom', path: [name], message: 'is not the name of an attribute' })
  }) as unknown as z.ZodType<Filter>
}

const COMBINATIONS = new Set(['$and', '$or', '$not'])

const whole = level(DEPTH_MAX)
const TOO_MANY = `has more than ${CONDITIONS_MAX} conditions`

/** Counted before anything is compared: of a megabyte of wrong conditions each would be worded, which took seconds. */
export const filterSchema = z
  .custom<Filter>()
  .superRefine((filter, context) => {
    if (asksAtLeast(filter, DEPTH_MAX) > CONDITIONS_MAX) return context.addIssue({ code: 'custom', message: TOO_MANY })
    for (const issue of whole.safeParse(filter).error?.issues ?? [])
      context.addIssue({ ...issue } as z.core.$ZodRawIssue)
  })
  .meta(shownAs(whole))

export type Scalar = z.infer<typeof scalar>
export type Condition = z.infer<typeof condition>
export type Filter = {
  readonly $and?: readonly Filter[]
  readonly $or?: readonly Filter[]
  readonly $not?: Filter
} & { readonly [name: string]: Condition | readonly Filter[] | Filter | undefined }

/** Its parts: what is asked of attributes, and the filters that are combined in it. */
export function partsOf({ $and = [], $or = [], $not, ...attributes }: Filter): {
  readonly attributes: readonly (readonly [string, Condition])[]
  readonly and: readonly Filter[]
  readonly or: readonly Filter[]
  readonly not: Filter | undefined
} {
  return { attributes: Object.entries(attributes) as [string, Condition][], and: $and, or: $or, not: $not }
}

/** The conditions of a filter, or of what may be none: whatever is wrong there counts as one. */
function asksAtLeast(filter: unknown, depth: number): number {
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter) || depth === 0) return 1
  return Object.entries(filter).reduce((sum, [name, value]) => {
    if (!COMBINATIONS.has(name)) return sum + 1
    const nested = name === '$not' ? [value] : value
    if (!Array.isArray(nested) || nested.length === 0) return sum + 1
    return nested.reduce((inner, each) => inner + asksAtLeast(each, depth - 1), sum)
  }, 0)
}

type Attributes = Readonly<Record<string, unknown>>

/** Whether a document with these attributes is in it, exactly as the index decides. */
export function matches(filter: Filter, document: Attributes): boolean {
  const { attributes, and, or, not } = partsOf(filter)
  return (
    attributes.every(([name, each]) => holds(each, valuesOf(document[name]))) &&
    and.every((each) => matches(each, document)) &&
    (or.length === 0 || or.some((each) => matches(each, document))) &&
    (not === undefined || !matches(not, document))
  )
}

/** Each value of a list by itself. */
const valuesOf = (value: unknown): readonly unknown[] =>
  value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]

function holds(asked: Condition, values: readonly unknown[]): boolean {
  if (typeof asked !== 'object') return values.includes(asked)
  if ('in' in asked) return values.some((value) => asked.in.includes(value as Scalar))
  if ('not' in asked) return !values.includes(asked.not)
  if ('exists' in asked) return values.length > 0 === asked.exists
  if (isOfDates(asked)) {
    const range = Object.fromEntries(Object.entries(asked).map(([name, text]) => [name, momentOf(text)]))
    return values.some((value) => typeof value === 'string' && isWithin(momentOf(value), range))
  }
  return values.some((value) => typeof value === 'number' && isWithin(value, asked))
}

type Bounds<T> = { readonly [bound in 'gt' | 'gte' | 'lt' | 'lte']?: T | undefined }

export const isOfDates = (range: Bounds<number> | Bounds<string>): range is Bounds<string> & Record<string, string> =>
  Object.values(range).some((bound) => typeof bound === 'string')

/**
 * Microseconds since 1970, as the index counts; a date without a zone is UTC, one without a time midnight. NaN, within no bounds, for
 * text that is no date.
 */
export function momentOf(text: string): number {
  const [, day, time = '00:00', fraction = '', zone = 'Z'] = MOMENT.exec(text) ?? []
  if (day === undefined || !isInCalendar(day)) return Number.NaN
  return Date.parse(`${day}T${time}${zone}`) * 1_000 + Number(fraction.padEnd(6, '0').slice(0, 6))
}

const MOMENT =
  /^(\d{4}-\d\d-\d\d)(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?)(?:(?<=:\d\d:\d\d)\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?)?$/

/** `Date` takes the 30th of February for a day in March. */
function isInCalendar(day: string): boolean {
  const ms = Date.parse(`${day}T00:00Z`)
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(day)
}

const isWithin = (value: number, { gt, gte, lt, lte }: Bounds<number>): boolean =>
  !Number.isNaN(value) &&
  (gt === undefined || value > gt) &&
  (gte === undefined || value >= gte) &&
  (lt === undefined || value < lt) &&
  (lte === undefined || value <= lte)
