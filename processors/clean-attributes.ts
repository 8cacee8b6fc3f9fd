import { type DeclaredAttributes, typeFaults } from '../search/attributes.ts'
import { Reject } from '../streams/errors.ts'
import { shown } from './clean-characters.ts'

export type AttributeValue = string | number | boolean | string[]
export type Attributes = Record<string, AttributeValue>

export interface AttributeLimits {
  readonly attributesMax: number
  readonly attributeBytesMax: number
  readonly attributeItemsMax: number
}

const name = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/

/** The same attributes, by name. Their values are what searches filter by, so they are checked but never changed. Throws `Reject`. */
export function cleanAttributes(attributes: Readonly<Record<string, unknown>>, limits: AttributeLimits): Attributes {
  const entries = Object.entries(attributes)
  if (entries.length > limits.attributesMax)
    throw new Reject(
      `attributes: there are ${entries.length}, more than ${limits.attributesMax}; send only those that searches filter by`,
    )
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  // Not by assignment: that would lose the name __proto__.
  return Object.fromEntries(
    entries.map(([key, value]) => [checkName(key), checkValue(`attributes.${key}`, value, limits)]),
  )
}

/** Whether each declared attribute has its type, the same wherever a document comes in. Throws `Reject` with the faults. */
export function checkTypes(attributes: Readonly<Record<string, unknown>>, declared: DeclaredAttributes): void {
  const faults = typeFaults(attributes, declared)
  if (faults.length === 0) return
  const more = faults.length > FAULTS_TOLD_MAX ? [`and ${faults.length - FAULTS_TOLD_MAX} attributes more`] : []
  throw new Reject([...faults.slice(0, FAULTS_TOLD_MAX), ...more].join('. '))
}

const FAULTS_TOLD_MAX = 5

function checkName(key: string): string {
  if (name.test(key)) return key
  throw new Reject(
    `attributes: the name ${shown(key)} must be 1 to 64 of A-Z, a-z, 0-9, _, . and -, beginning with a letter or _; rename it`,
  )
}

function checkValue(field: string, value: unknown, limits: AttributeLimits): AttributeValue {
  if (typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value
    throw new Reject(`${field}: ${value} is not a finite number; send a number or leave it out`)
  }
  if (typeof value === 'string') return checkString(field, value, limits)
  if (Array.isArray(value)) {
    if (value.length > limits.attributeItemsMax)
      throw new Reject(`${field}: has ${value.length} items, more than ${limits.attributeItemsMax}; send fewer`)
    return value.map((item, i) => checkString(`${field}[${i}]`, item, limits))
  }
  throw new Reject(
    `${field}: ${shown(value)} is not a string, number, boolean or list of strings; send one of those, or leave it out`,
  )
}

function checkString(field: string, value: unknown, limits: AttributeLimits): string {
  if (typeof value !== 'string') throw new Reject(`${field}: ${shown(value)} is not a string; lists hold strings only`)
  if (!value.isWellFormed())
    throw new Reject(`${field}: has half a surrogate pair (${shown(value)}); send well-formed Unicode`)
  const bytes = Buffer.byteLength(value)
  if (bytes > limits.attributeBytesMax)
    throw new Reject(
      `${field}: has ${bytes} bytes (${shown(value)}), more than ${limits.attributeBytesMax}; put long text into the text`,
    )
  return value
}
