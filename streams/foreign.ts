import { Reject, reasonOf } from './errors.ts'
import { parseExactJson } from './exact-json.ts'
import { foreignAvroReader } from './foreign-avro.ts'
import { foreignProtobufReader } from './foreign-protobuf.ts'
import { logicalReader } from './logical-values.ts'
import type { SchemaRegistry } from './registry.ts'
import { holdsBadText } from './serde.ts'

/** How the values of a topic of anybody's are written. `avro`, `json-schema` and `protobuf` are in the schema registry's wire format. */
export const foreignFormats = ['json', 'avro', 'json-schema', 'protobuf', 'text'] as const
export type ForeignFormat = (typeof foreignFormats)[number]
export type ForeignKeyFormat = ForeignFormat | 'auto'

/** Reads what others wrote, under their own schemas. Throws `Reject` for what can never be read, `Retry` while the registry is out of reach. */
export interface ForeignReader {
  read(what: 'key' | 'value', bytes: Buffer, format: ForeignKeyFormat): Promise<unknown>
}

type Decode = (bytes: Buffer) => unknown

export function foreignReader(registry: Pick<SchemaRegistry, 'schemaText'>): ForeignReader {
  const known = new Map<number, Promise<{ kind: string; decode: Decode }>>()

  const readerFor = (id: number) => {
    let reader = known.get(id)
    if (reader === undefined) {
      reader = registry.schemaText(id).then(({ kind, text, references }) => {
        if (references.length > 0)
          throw new Reject(`schema ${id} refers to other schemas (${references[0]}); write one that is whole`)
        if (kind === 'AVRO') return { kind, decode: framed(() => foreignAvroReader(JSON.parse(text)), id) }
        if (kind === 'PROTOBUF') return { kind, decode: framed(() => foreignProtobufReader(text), id) }
        if (kind === 'JSON') return { kind, decode: (bytes) => parseJson(bytes.subarray(WIRE_HEADER_BYTES)) }
        throw new Reject(`schema ${id} is ${kind}, which is not read; write Avro, JSON or Protobuf`)
      })
      reader.catch(() => known.delete(id))
      known.set(id, reader)
    }
    return reader
  }

  const registered = async (bytes: Buffer, wanted: 'AVRO' | 'JSON' | 'PROTOBUF' | null): Promise<unknown> => {
    if (!isFramed(bytes))
      throw new Reject(
        `is not in the schema registry's wire format (it begins with ${bytes.subarray(0, 5).toString('hex') || 'nothing'}); write it with a schema registry serializer, or say in the mapping how it is written`,
      )
    const { kind, decode } = await readerFor(bytes.readUInt32BE(1))
    if (wanted !== null && kind !== wanted)
      throw new Reject(`is written under a schema of kind ${kind}, and the mapping says ${wanted}; correct one of them`)
    return decode(bytes)
  }

  return {
    async read(what, bytes, format) {
      try {
        switch (format) {
          case 'text':
            return textIn(bytes)
          case 'json':
            return parseJson(bytes)
          case 'avro':
            return await registered(bytes, 'AVRO')
          case 'json-schema':
            return await registered(bytes, 'JSON')
          case 'protobuf':
            return await registered(bytes, 'PROTOBUF')
          case 'auto':
            return isFramed(bytes) ? await registered(bytes, null) : jsonOrText(textIn(bytes))
        }
      } catch (error) {
        if (error instanceof Reject) throw new Reject(`${what}: ${reasonOf(error)}`)
        throw error
      }
    },
  }
}

const WIRE_HEADER_BYTES = 5
const isFramed = (bytes: Buffer): boolean => bytes.length >= WIRE_HEADER_BYTES && bytes[0] === 0

function framed(open: () => (bytes: Buffer, start: number) => unknown, id: number): Decode {
  let read: ReturnType<typeof open>
  try {
    read = open()
  } catch (cause) {
    throw new Reject(`schema ${id} cannot be read`, { cause })
  }
  return (bytes) => {
    let value: unknown
    try {
      value = read(bytes, WIRE_HEADER_BYTES)
    } catch (cause) {
      throw new Reject(`is not valid under schema ${id}`, { cause })
    }
    if (holdsBadText(bytes, value)) throw new Reject('holds text that is not UTF-8; encode strings as UTF-8')
    return value
  }
}

function textIn(bytes: Buffer): string {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    throw new Reject(`is not UTF-8 (${bytes.subarray(0, 16).toString('hex')}); write it as UTF-8`)
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

/** A key is often a bare id, and sometimes the object of a primary key. */
function jsonOrText(text: string): unknown {
  if (!/^\s*[{["]/.test(text)) return text
  try {
    return unwrapped(parseExactJson(text))
  } catch {
    return text
  }
}

function parseJson(bytes: Buffer): unknown {
  const text = textIn(bytes)
  try {
    return unwrapped(parseExactJson(text))
  } catch {
    throw new Reject(
      `is not JSON (${JSON.stringify(text.slice(0, 40))}); write JSON, or say in the mapping how it is written`,
    )
  }
}

/** Kafka Connect's JSON carries its schema along unless it is told not to: then it says what is a date and what a decimal. */
function unwrapped(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Object.keys(json).sort().join() !== 'payload,schema') return json
  const { schema, payload } = json as { schema: ConnectSchema | null; payload: unknown }
  if (schema === null) return payload
  return typeof schema === 'object' && 'type' in schema ? converted(payload, schema) : json
}

interface ConnectSchema {
  readonly type?: string
  readonly name?: string
  readonly parameters?: { readonly scale?: string }
  readonly fields?: readonly (ConnectSchema & { readonly field: string })[]
  readonly items?: ConnectSchema
  readonly values?: ConnectSchema
}

function converted(value: unknown, { type, name, parameters, fields, items, values }: ConnectSchema): unknown {
  if (value === null || value === undefined) return value
  const logical = name === undefined ? null : logicalReader(name, Number(parameters?.scale ?? 0))
  if (logical !== null) return logical(value)
  if (type === 'bytes' && typeof value === 'string') return Buffer.from(value, 'base64')
  if (Array.isArray(value)) return items === undefined ? value : value.map((each) => converted(each, items))
  if (typeof value !== 'object') return value
  const schemaOf = (field: string) => values ?? fields?.find((each) => each.field === field) ?? {}
  return Object.fromEntries(Object.entries(value).map(([field, each]) => [field, converted(each, schemaOf(field))]))
}
