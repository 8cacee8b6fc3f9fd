import { attributeName, type Condition, type Filter, isOfDates, momentOf, partsOf } from './filter.ts'

/**
 * What documents may be filtered by: the attributes that are declared, each with its type. A declared one has that type in every
 * document that comes in. An undeclared one is kept and shown, and nothing is filtered by it.
 */
export type DeclaredAttributes = ReadonlyMap<string, AttributeType>

/** `integer` and `number` are one kind of value in the index, and so one kind of condition. */
export const attributeTypes = ['keyword', 'integer', 'number', 'boolean', 'datetime'] as const
export type AttributeType = (typeof attributeTypes)[number]

/** Each is an index of every collection. */
export const DECLARED_MAX = 64

export const NONE_DECLARED: DeclaredAttributes = new Map()

/** A declaration as configuration has it: an object, or its JSON. All faults at once, in words. */
export function declarationIn(given: unknown): { declared: DeclaredAttributes; faults: readonly string[] } {
  const json = typeof given === 'string' ? parsed(given) : given
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return {
      declared: NONE_DECLARED,
      faults: ['is no JSON object; give names with their types, like {"team":"keyword","year":"integer"}'],
    }
  const entries = Object.entries(json)
  const faults = entries.flatMap(([name, type]) => {
    if (!attributeName.test(name)) return [`${shown(name)} is not the name of an attribute`]
    if (isType(type)) return []
    return [`${name} is ${shown(type)}, which is no type; give one of ${attributeTypes.join(', ')}`]
  })
  if (entries.length > DECLARED_MAX) faults.unshift(`there are ${entries.length} attributes, more than ${DECLARED_MAX}`)
  return { declared: new Map(entries as [string, AttributeType][]), faults }
}

const isType = (type: unknown): type is AttributeType => (attributeTypes as readonly unknown[]).includes(type)

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

type Attributes = Readonly<Record<string, unknown>>

/** What declared attributes of a document have another type; nothing of those that are not declared. */
export function typeFaults(attributes: Attributes, declared: DeclaredAttributes): string[] {
  return Object.entries(attributes).flatMap(([name, value]) => {
    const type = declared.get(name)
    if (type === undefined || kinds[type].has(value)) return []
    return [`attributes.${name}: is ${described(value)} and ${name} is declared as ${type}; ${kinds[type].send}`]
  })
}

/** Names of attributes that nothing can be filtered by, each once. */
export function undeclaredIn(documents: readonly Attributes[], declared: DeclaredAttributes): string[] {
  return [...new Set(documents.flatMap(Object.keys))].filter((name) => !declared.has(name)).sort()
}

/** Why a filter can find nothing that it means: an attribute is not declared, or is of another type than what is asked. */
export function filterFaults(filter: Filter, declared: DeclaredAttributes, path = 'filter'): string[] {
  const { attributes, and, or, not } = partsOf(filter)
  const own = attributes.flatMap(([name, condition]) => {
    const asked = askedBy(condition)
    const type = declared.get(name)
    if (type === undefined) return [undeclared(`${path}.${name}`, name, asked, declared)]
    const { takes, ask } = kinds[type]
    if (asked.every(({ kind }) => takes.includes(kind))) return []
    const { words } = asked.find(({ kind }) => !takes.includes(kind))!
    return [`${path}.${name}: asks for ${words} and ${name} is declared as ${type}; ${ask}`]
  })
  const within = (each: Filter, place: string): string[] => filterFaults(each, declared, `${path}.${place}`)
  return [
    ...own,
    ...and.flatMap((each, i) => within(each, `$and.${i}`)),
    ...or.flatMap((each, i) => within(each, `$or.${i}`)),
    ...(not === undefined ? [] : within(not, '$not')),
  ]
}

function undeclared(field: string, name: string, asked: readonly Asked[], declared: DeclaredAttributes): string {
  const all = [...declared].map(([each, type]) => `${each} (${type})`)
  const example = JSON.stringify({ [name]: asked[0]?.example ?? 'keyword' })
  return `${field}: is not declared, so nothing can be filtered by it; declare it in FRESHET_ATTRIBUTES, like ${example}; declared ${all.length === 0 ? 'is none' : `are ${all.join(', ')}`}`
}

interface Asked {
  readonly kind: 'text' | 'number' | 'numbers' | 'boolean' | 'dates'
  readonly words: string
  /** A type that it would fit. */
  readonly example: AttributeType
}

/** What a condition compares with; nothing where it asks only whether the attribute is there. */
function askedBy(condition: Condition): Asked[] {
  if (typeof condition !== 'object') return [askedValue(condition)]
  if ('in' in condition) return condition.in.map(askedValue)
  if ('not' in condition) return [askedValue(condition.not)]
  if ('exists' in condition) return []
  if (isOfDates(condition)) return [{ kind: 'dates', words: 'bounds of dates', example: 'datetime' }]
  return [{ kind: 'numbers', words: 'bounds of numbers', example: 'number' }]
}

function askedValue(value: string | number | boolean): Asked {
  const words = described(value)
  if (typeof value === 'string') return { kind: 'text', words, example: 'keyword' }
  if (typeof value === 'boolean') return { kind: 'boolean', words, example: 'boolean' }
  return { kind: 'number', words, example: Number.isSafeInteger(value) ? 'integer' : 'number' }
}

interface Kind {
  has(value: unknown): boolean
  readonly send: string
  readonly takes: readonly Asked['kind'][]
  readonly ask: string
}

const isDate = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(momentOf(value))
const askNumbers = { takes: ['number', 'numbers'], ask: 'ask for a number, or for bounds like {"gte":1}' } as const

const kinds: Readonly<Record<AttributeType, Kind>> = {
  keyword: {
    has: (value) => typeof value === 'string' || Array.isArray(value),
    send: 'send a text or a list of texts',
    takes: ['text'],
    ask: 'ask for a text',
  },
  integer: {
    has: Number.isSafeInteger,
    send: `send a whole number of at most ${Number.MAX_SAFE_INTEGER}`,
    ...askNumbers,
  },
  number: { has: (value) => typeof value === 'number', send: 'send a number', ...askNumbers },
  boolean: {
    has: (value) => typeof value === 'boolean',
    send: 'send true or false',
    takes: ['boolean'],
    ask: 'ask for true or false',
  },
  // One moment can be written in many ways, so equal text is not what anybody means.
  datetime: {
    has: (value) => (Array.isArray(value) ? value.every(isDate) : isDate(value)),
    send: 'send a date like 2026-11-24 or 2026-11-24T08:00:00Z, or a list of them',
    takes: ['dates'],
    ask: 'ask for bounds like {"gte":"2026-11-24T08:00:00Z"}',
  },
}

function described(value: unknown): string {
  if (Array.isArray(value)) return `a list of texts (${shown(value)})`
  if (typeof value === 'string') return `text (${shown(value)})`
  return `a ${typeof value} (${shown(value)})`
}

/** One line, cut. */
function shown(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX).toWellFormed()}…`
}

const SHOWN_CHARS_MAX = 60
