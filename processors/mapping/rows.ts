import { Reject } from '../../streams/errors.ts'
import { shown } from '../clean-characters.ts'
import type { Mapping } from './declaration.ts'
import type { Row } from './fields.ts'

/** What a record says. */
export type Change =
  | { readonly is: 'row'; readonly row: Row }
  /** `row`: what was there, as far as the record has it. The key counts first: a deletion may have nothing else. */
  | { readonly is: 'deletion'; readonly row: Row }
  /** The whole table was emptied; no record says which rows it had. */
  | { readonly is: 'truncation' }
  /** Nothing of any row. */
  | { readonly is: 'nothing' }

/** Debezium's envelope, its flattened rows, or a plain one. */
export function changeIn(row: Row, rows: Mapping['rows']): Change {
  if (row.value === null) return { is: 'deletion', row }
  if (rows === 'plain') return { is: 'row', row }
  const value = objectOf(row.value)
  return rows === 'flattened' ? flattened(row, value) : enveloped(row, value)
}

function enveloped(row: Row, { op, before, after }: Record<string, unknown>): Change {
  switch (op) {
    case 'c':
    case 'r':
    case 'u':
      if (after === null || after === undefined)
        throw new Reject(`after: is ${shown(after)} and op is ${op}; let Debezium write whole rows`)
      return { is: 'row', row: { ...row, value: after } }
    case 'd':
      return { is: 'deletion', row: { ...row, value: before ?? null } }
    case 't':
      return { is: 'truncation' }
    case 'm':
      return { is: 'nothing' }
    default:
      throw new Reject(
        `op: ${shown(op)} is none of c, r, u, d, t and m; give the mapping rows: plain or flattened if these are no Debezium envelopes`,
      )
  }
}

function flattened(row: Row, value: Record<string, unknown>): Change {
  const op = value.__op
  if (op === 't') return { is: 'truncation' }
  if (op === 'm') return { is: 'nothing' }
  const isDeleted = op === 'd' || value.__deleted === true || value.__deleted === 'true'
  return { is: isDeleted ? 'deletion' : 'row', row }
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value))
    return value as Record<string, unknown>
  throw new Reject(`value: ${shown(value)} is no row; let the mapping say how it is written`)
}
