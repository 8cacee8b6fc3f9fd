import { Reject } from '../../streams/errors.ts'
import { shown } from '../clean-characters.ts'

/** A record of anybody's topic, read. */
export interface Row {
  readonly key: unknown
  /** What fields are looked for in; null: there is only the key. */
  readonly value: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly topic: string
}

/** Where in a row something is: `name`, `address.city`, `tags.0`, `items.*.name`; `$key`, `$key.id`, `$value`, `$header.NAME`, `$topic`. */
export interface Field {
  readonly text: string
  readonly steps: readonly string[]
  /** Written with `?` at its end: it may be absent. */
  readonly optional: boolean
}

/** Throws with what is wrong with it. */
export function fieldIn(text: string): Field {
  const optional = text.endsWith('?')
  const steps = (optional ? text.slice(0, -1) : text).trim().split('.')
  if (steps.some((step) => step === '')) throw new Error(`${shown(text)} is no field; write name, or address.city`)
  const [root = ''] = steps
  if (root.startsWith('$') && !['$key', '$value', '$header', '$topic'].includes(root))
    throw new Error(`${shown(root)} is not known; there are $key, $value, $header and $topic`)
  return { text: steps.join('.'), steps, optional }
}

/** What is there; undefined: nothing is, not even null. */
export function lookUp({ steps }: Field, row: Row): unknown {
  const [root, ...rest] = steps
  switch (root) {
    case '$key':
      return down(row.key, rest)
    case '$value':
      return down(row.value, rest)
    case '$topic':
      return row.topic
    case '$header':
      return row.headers[rest.join('.')]
    default:
      return down(row.value, steps)
  }
}

/** As `lookUp`; what is absent and must not be is a rejection that names it, and `what` it is for. */
export function need(field: Field, row: Row, what: string): unknown {
  const found = lookUp(field, row)
  if (found !== undefined) return found
  if (field.optional) return null
  throw new Reject(
    `${what}: the record has no field ${field.text} (${fieldsOf(row.value)}); correct the mapping, or write ${field.text}? if it may be absent`,
  )
}

function down(from: unknown, steps: readonly string[]): unknown {
  let at = from
  for (const [i, step] of steps.entries()) {
    if (at === null || at === undefined) return at
    if (step === '*') {
      if (!Array.isArray(at)) return undefined
      return at.map((each) => down(each, steps.slice(i + 1)) ?? null)
    }
    if (typeof at !== 'object' || Buffer.isBuffer(at) || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<string, unknown>)[step]
  }
  return at
}

function fieldsOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `it is ${shown(value)}`
  const names = Object.keys(value)
  return `it has ${names.slice(0, 12).join(', ') || 'none'}${names.length > 12 ? ' and more' : ''}`
}

/** One line of text of a scalar, or of a list of them; null stays null. */
export function textOfField(value: unknown, what: string, field: Field): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value))
    return value
      .map((each) => textOfField(each, what, field))
      .filter((each) => each !== null)
      .join(', ')
  const is = Buffer.isBuffer(value) ? `${value.length} bytes` : 'an object'
  throw new Reject(`${what}: field ${field.text} is ${is}, which is no text; name a field in it`)
}
