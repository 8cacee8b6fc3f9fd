import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Writes `records.ts`, the types of all records, from the `.avsc` files: `node schemas/generate.ts`. A test compares. */
export function generateRecords(): string {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.avsc'))
    .sort()
  const declared: string[] = []
  for (const file of files) declare(JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')), declared)
  return [`// Generated from the .avsc files by schemas/generate.ts; do not edit.`, ...declared, ''].join('\n\n')
}

const folder = fileURLToPath(new URL('.', import.meta.url))

type Schema =
  | string
  | Schema[]
  | { type: Schema; name?: string; doc?: string; fields?: Field[]; items?: Schema; values?: Schema; symbols?: string[] }
interface Field {
  name: string
  type: Schema
  doc?: string
}

const primitives: Record<string, string> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  bytes: 'Buffer',
  string: 'string',
}

function typeOf(schema: Schema, declared: string[]): string {
  if (typeof schema === 'string') return primitives[schema] ?? schema
  if (Array.isArray(schema)) return schema.map((branch) => typeOf(branch, declared)).join(' | ')
  switch (schema.type) {
    case 'record':
      return declare(schema, declared)
    case 'enum':
      return schema.symbols!.map((symbol) => `'${symbol}'`).join(' | ')
    case 'array': {
      const item = typeOf(schema.items!, declared)
      return item.includes(' ') ? `Array<${item}>` : `${item}[]`
    }
    case 'map':
      return `Record<string, ${typeOf(schema.values!, declared)}>`
    default:
      return typeOf(schema.type, declared)
  }
}

function declare(schema: Schema, declared: string[]): string {
  if (typeof schema === 'string' || Array.isArray(schema) || schema.name === undefined)
    throw new Error('a schema file holds one named record')
  const place = declared.push('') - 1
  const fields = schema.fields!.map(
    ({ name, type, doc }) => `${doc ? `  /** ${doc} */\n` : ''}  ${name}: ${typeOf(type, declared)}`,
  )
  declared[place] =
    `${schema.doc ? `/** ${schema.doc} */\n` : ''}export interface ${schema.name} {\n${fields.join('\n')}\n}`
  return schema.name
}

if (import.meta.main) writeFileSync(new URL('records.ts', import.meta.url), generateRecords())
