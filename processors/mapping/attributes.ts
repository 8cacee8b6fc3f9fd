import { Reject } from '../../streams/errors.ts'
import { days, instant } from '../../streams/logical-values.ts'
import type { Attributes, AttributeValue } from '../clean-attributes.ts'
import { shown } from '../clean-characters.ts'
import type { attributeKinds, Mapping } from './declaration.ts'
import { need, type Row } from './fields.ts'

type Kind = (typeof attributeKinds)[number]
type Unit = keyof typeof UNITS

/** What searches may filter by. A field that is null gives none. Throws `Reject`. */
export function attributesOf(row: Row, { attributes }: Mapping): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, given]): [string, AttributeValue][] => {
      if ('value' in given) return [[name, given.value]]
      const { field, type, unit } = given
      const what = `attributes.${name}`
      const found = need(field, row, what)
      if (found === null) return []
      const value = type === undefined && unit === undefined ? asIs(found) : typed(found, type ?? 'date', unit)
      if (value === null)
        throw new Reject(
          `${what}: field ${field.text} is ${shownExactly(found)}, which is no ${type ?? 'string, number, boolean or list'}; correct the record, or the type in the mapping`,
        )
      return [[name, value]]
    }),
  )
}

/** A number that no double has exactly is no number here: the mapping can say that it is to be a string. */
function asIs(found: unknown): AttributeValue | null {
  if (typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean') return found
  return Array.isArray(found) ? strings(found) : null
}

function typed(found: unknown, type: Kind, unit: Unit | undefined): AttributeValue | null {
  switch (type) {
    case 'string':
      return scalarText(found)
    case 'strings':
      return strings(Array.isArray(found) ? found : [found])
    case 'boolean':
      if (typeof found === 'boolean') return found
      return found === 'true' || found === 1 ? true : found === 'false' || found === 0 ? false : null
    case 'number':
      return number(found)
    case 'date':
      return date(found, unit)
  }
}

function number(found: unknown): number | null {
  if (typeof found === 'number') return found
  if (typeof found !== 'string' || !/^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(found)) return null
  const value = Number(found)
  // A whole number that changes would be the number of something else.
  return Number.isFinite(value) && (Number.isSafeInteger(value) || !Number.isInteger(value)) ? value : null
}

function date(found: unknown, unit: Unit | undefined): string | null {
  if (unit === undefined) return typeof found === 'string' && !Number.isNaN(Date.parse(found)) ? found : null
  const whole = typeof found === 'string' && /^-?\d+$/.test(found) ? BigInt(found) : found
  if (typeof whole !== 'bigint' && !Number.isInteger(whole)) return null
  return UNITS[unit](BigInt(whole as number | bigint))
}

const UNITS = { days, ms: instant(3), us: instant(6), ns: instant(9) }

function strings(found: readonly unknown[]): string[] | null {
  const texts = found.flatMap((each) => (each === null ? [] : [scalarText(each)]))
  return texts.every((each) => each !== null) ? texts : null
}

function scalarText(found: unknown): string | null {
  return typeof found === 'object' ? null : String(found)
}

const shownExactly = (found: unknown): string => (typeof found === 'bigint' ? String(found) : shown(found))
