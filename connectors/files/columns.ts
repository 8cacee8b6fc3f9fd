import type { DocumentFields, JsonLine } from './json-lines.ts'

/** Which columns of a table, or fields of an object, are what of a document. */
export interface Columns {
  readonly id: string
  /** Several are joined by line breaks; an empty one is left out. */
  readonly text: readonly string[]
  readonly title?: string | undefined
  readonly url?: string | undefined
  readonly language?: string | undefined
  readonly attributes: readonly AttributeColumn[]
}

export interface AttributeColumn {
  readonly column: string
  readonly type: 'string' | 'number' | 'boolean'
}

/** `price` or `price:number`. */
export function attributeColumn(given: string): AttributeColumn {
  const [, column = given, type = 'string'] = /^(.+):(string|number|boolean)$/.exec(given) ?? []
  return { column, type: type as AttributeColumn['type'] }
}

export const columnsOf = ({ id, text, title, url, language, attributes }: Columns): readonly string[] =>
  [id, ...text, title, url, language, ...attributes.map(({ column }) => column)].filter((name) => name !== undefined)

/** The document of a row, or what is wrong with it. */
export function documentOfRow(row: Readonly<Record<string, unknown>>, columns: Columns): JsonLine | { reason: string } {
  const id = cell(row, columns.id)
  if (id === '') return { reason: `${columns.id}: is empty, and is to be the id; fill it` }
  const attributes: Record<string, string | number | boolean> = {}
  for (const { column, type } of columns.attributes) {
    const value = cell(row, column)
    if (value === '') continue
    const typed = typedAs(value, type)
    if (typed === null) return { reason: `${column}: ${JSON.stringify(value.slice(0, 40))} is no ${type}; mend it` }
    attributes[column] = typed
  }
  const text = columns.text.map((column) => cell(row, column)).filter((part) => part !== '')
  const optional = (['title', 'url', 'language'] as const).flatMap((field) => {
    const column = columns[field]
    const value = column === undefined ? '' : cell(row, column)
    return value === '' ? [] : [[field, value]]
  })
  const fields: DocumentFields = { text: text.join('\n'), attributes, ...Object.fromEntries(optional) }
  return { id, fields }
}

function cell(row: Readonly<Record<string, unknown>>, column: string): string {
  const value = row[column]
  if (value === undefined || value === null) return ''
  return (typeof value === 'string' ? value : JSON.stringify(value)).trim()
}

function typedAs(value: string, type: AttributeColumn['type']): string | number | boolean | null {
  if (type === 'string') return value
  if (type === 'number') return Number.isFinite(Number(value)) ? Number(value) : null
  return /^(true|false)$/i.test(value) ? value.toLowerCase() === 'true' : null
}
