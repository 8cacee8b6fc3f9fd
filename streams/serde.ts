import avro from 'avsc'
import { Reject } from './errors.ts'
import type { SchemaRegistry } from './registry.ts'
import { type AvroSchema, nameIn, type Scope, type Topic } from './topic.ts'

/**
 * Avro in Confluent's wire format (a zero byte, the schema's id in four, the value), as any client with a schema registry
 * writes and reads it. Values are decoded into the reader's schema, so old data stays readable.
 */
export interface Serde {
  /** Registers the schemas of the topics; refuses one that is not compatible with what is registered. Call before `encode`. */
  register(topics: readonly Topic[]): Promise<void>
  encode(topic: Topic, value: unknown): Buffer
  encodeLow(topic: Topic, low: number, at: number): Buffer
  /** Throws `Reject` when the bytes can never be read, `Retry` when the registry is out of reach. */
  decode(topic: Topic, bytes: Buffer): Promise<unknown>
  decodeLow(topic: Topic, bytes: Buffer): Promise<number>
}

export function avroSerde(registry: SchemaRegistry, scope: Scope): Serde {
  const types = new Map<AvroSchema, avro.Type>()
  const ids = new Map<string, number>()
  const readers = new Map<string, Promise<(bytes: Buffer) => unknown>>()

  const typeOf = (schema: AvroSchema): avro.Type => {
    let type = types.get(schema)
    if (type === undefined) {
      type = avro.Type.forSchema(schema as avro.Schema)
      types.set(schema, type)
    }
    return type
  }

  const write = (subject: string, schema: AvroSchema, value: unknown): Buffer => {
    const id = ids.get(subject)
    if (id === undefined) throw new Error(`no schema is registered for ${subject}: call register() first`)
    const body = typeOf(schema).toBuffer(value)
    const bytes = Buffer.allocUnsafe(WIRE_HEADER_BYTES + body.length)
    bytes[0] = 0
    bytes.writeUInt32BE(id, 1)
    body.copy(bytes, WIRE_HEADER_BYTES)
    return bytes
  }

  const readerFor = (id: number, schema: AvroSchema): Promise<(bytes: Buffer) => unknown> => {
    const cacheKey = `${id} ${schema.namespace ?? ''}.${schema.name}`
    let reader = readers.get(cacheKey)
    if (reader === undefined) {
      reader = registry.schema(id).then((writer) => makeReader(writer, typeOf(schema), id))
      // What failed for want of the registry is asked for again; what the registry does not know may be registered later.
      reader.catch(() => readers.delete(cacheKey))
      readers.set(cacheKey, reader)
    }
    return reader
  }

  const read = async (schema: AvroSchema, bytes: Buffer): Promise<unknown> => {
    if (bytes.length < WIRE_HEADER_BYTES || bytes[0] !== 0) {
      throw new Reject(
        `value: is not Avro in the schema registry's wire format (it begins with ${bytes.subarray(0, 5).toString('hex') || 'nothing'}); write it with a schema registry serializer`,
      )
    }
    const reader = await readerFor(bytes.readUInt32BE(1), schema)
    const value = reader(bytes)
    if (holdsBadText(bytes, value)) throw new Reject('value: holds text that is not UTF-8; encode strings as UTF-8')
    return value
  }

  const registerOnce = async (subject: string, schema: AvroSchema): Promise<void> => {
    if (!ids.has(subject)) ids.set(subject, await registry.register(subject, schema))
  }

  return {
    async register(topics) {
      for (const topic of topics) {
        await registerOnce(subjectOf(scope, topic), topic.schema)
        if (topic.lowSchema !== undefined) await registerOnce(lowSubjectOf(scope, topic), topic.lowSchema)
      }
    },
    encode: (topic, value) => write(subjectOf(scope, topic), topic.schema, value),
    encodeLow(topic, low, at) {
      return write(lowSubjectOf(scope, topic), lowSchemaOf(topic), { low, at })
    },
    decode: (topic, bytes) => read(topic.schema, bytes),
    async decodeLow(topic, bytes) {
      return ((await read(lowSchemaOf(topic), bytes)) as { low: number }).low
    },
  }
}

const WIRE_HEADER_BYTES = 5

/** TopicNameStrategy, as every client does by default. */
const subjectOf = (scope: Scope, topic: Topic): string => `${nameIn(scope, topic)}-value`
const lowSubjectOf = (scope: Scope, topic: Topic): string => `${nameIn(scope, topic)}-progress-value`

function lowSchemaOf(topic: Topic): AvroSchema {
  if (topic.lowSchema === undefined) throw new Error(`topic ${topic.name} carries no watermark`)
  return topic.lowSchema
}

function makeReader(writer: AvroSchema, reader: avro.Type, id: number): (bytes: Buffer) => unknown {
  let written: avro.Type
  let resolver: ReturnType<avro.Type['createResolver']>
  try {
    // `noAnonymousTypes` off, and no registry of names shared between schemas: two may define the same name differently.
    written = avro.Type.forSchema(writer as avro.Schema)
    resolver = reader.createResolver(written)
  } catch (cause) {
    throw new Reject(`value: schema ${id} cannot be read as ${reader.name}; write with a compatible schema`, { cause })
  }
  return (bytes) => {
    let decoded: { value: unknown; offset: number }
    try {
      decoded = reader.decode(bytes, WIRE_HEADER_BYTES, resolver)
    } catch (cause) {
      throw new Reject(`value: is not a valid ${reader.name} under schema ${id}`, { cause })
    }
    if (decoded.offset < 0)
      throw new Reject(`value: ends early for schema ${id} (${reader.name}); it was cut off or has another schema`)
    if (decoded.offset !== bytes.length) {
      throw new Reject(
        `value: has ${bytes.length - decoded.offset} bytes after the end of ${reader.name} under schema ${id}; it has another schema`,
      )
    }
    return decoded.value
  }
}

/**
 * avsc turns bytes that are not UTF-8 into U+FFFD without a word. Where the decoded strings hold more of them than the bytes
 * hold its encoding, some were made up.
 */
export function holdsBadText(bytes: Buffer, value: unknown): boolean {
  const decoded = countReplacements(value)
  if (decoded === 0) return false
  let written = 0
  for (let i = bytes.indexOf(REPLACEMENT); i !== -1; i = bytes.indexOf(REPLACEMENT, i + REPLACEMENT.length)) written++
  return decoded > written
}

const REPLACEMENT = Buffer.from('\uFFFD', 'utf8')

function countReplacements(value: unknown): number {
  if (typeof value === 'string') return value.includes('\uFFFD') ? value.split('\uFFFD').length - 1 : 0
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + countReplacements(item), 0)
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return 0
  let sum = 0
  for (const name in value) sum += countReplacements(name) + countReplacements((value as Record<string, unknown>)[name])
  return sum
}
