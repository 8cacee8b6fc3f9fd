import avro from 'avsc'
import { textOf } from '../streams/dead-letters.ts'
import { reasonOf } from '../streams/errors.ts'
import type { SchemaRegistry } from '../streams/registry.ts'

/** Bytes as far as they can be read: by the schema that they name, whoever's it is; else as text; else the first of them. */
export type Readable =
  | { readonly as: 'nothing' }
  | {
      readonly as: 'avro'
      readonly bytes: number
      readonly schemaId: number
      readonly schema: string
      readonly value: unknown
    }
  | { readonly as: 'text'; readonly bytes: number; readonly text: string; readonly note: string | null }
  | { readonly as: 'hex'; readonly bytes: number; readonly hex: string; readonly note: string | null }

export async function readable(bytes: Buffer | null, registry: Pick<SchemaRegistry, 'schema'>): Promise<Readable> {
  if (bytes === null) return { as: 'nothing' }
  let note: string | null = null
  if (bytes.length >= WIRE_HEADER_BYTES && bytes[0] === 0) {
    const schemaId = bytes.readUInt32BE(1)
    try {
      const schema = await registry.schema(schemaId)
      const type = avro.Type.forSchema(schema as avro.Schema)
      const { value, offset } = type.decode(bytes, WIRE_HEADER_BYTES) as { value: unknown; offset: number }
      if (offset === bytes.length) {
        const name = [schema.namespace, schema.name].filter(Boolean).join('.')
        return { as: 'avro', bytes: bytes.length, schemaId, schema: name, value: shown(value) }
      }
      note =
        offset < 0
          ? `it ends early for schema ${schemaId} (${schema.name})`
          : `${bytes.length - offset} bytes come after the end of schema ${schemaId} (${schema.name})`
    } catch (error) {
      note = reasonOf(error)
    }
  }
  const text = textOf(bytes)
  if (text !== null && !/[^\P{Cc}\t\r\n]/u.test(text)) {
    return { as: 'text', bytes: bytes.length, text: text.slice(0, TEXT_CHARS_MAX), note }
  }
  return { as: 'hex', bytes: bytes.length, hex: bytes.subarray(0, HEX_BYTES_MAX).toString('hex'), note }
}

const WIRE_HEADER_BYTES = 5
const TEXT_CHARS_MAX = 4_000
const HEX_BYTES_MAX = 256

/** For JSON: bytes as hex, long ones by their beginning. */
function shown(value: unknown): unknown {
  if (Buffer.isBuffer(value)) {
    const hex = value.subarray(0, HEX_BYTES_MAX).toString('hex')
    return value.length > HEX_BYTES_MAX ? `0x${hex}… (${value.length} bytes)` : `0x${hex}`
  }
  if (typeof value === 'string' && value.length > TEXT_CHARS_MAX) {
    return `${value.slice(0, TEXT_CHARS_MAX)}… (${value.length} characters)`
  }
  if (Array.isArray(value)) return value.map(shown)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shown(each)]))
}
