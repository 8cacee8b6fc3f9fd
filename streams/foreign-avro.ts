import avro from 'avsc'
import { type LogicalReader, logicalReader } from './logical-values.ts'

/** Reads bytes that were written under a schema of anybody's, from `start` to their end: longs exact, dates and decimals as `logical-values.ts` has them. */
export function foreignAvroReader(schema: unknown): (bytes: Buffer, start: number) => unknown {
  const type = avro.Type.forSchema(annotated(schema) as avro.Schema, {
    registry: { long: longRead() },
    // A long that is more than its name is made anew by avsc, and would be a double again.
    typeHook: (node: unknown) => (isLong(node) ? longRead(readerOf(node)) : undefined),
    logicalTypes: { [OURS]: Logical as unknown as new (schema: avro.Schema, opts?: unknown) => avro.types.LogicalType },
  })
  return (bytes, start) => {
    const { value, offset } = type.decode(bytes, start)
    if (offset < 0) throw new RangeError('it ends early')
    if (offset !== bytes.length) throw new RangeError(`there are ${bytes.length - offset} bytes after its end`)
    return value
  }
}

const OURS = 'freshet'

/** What a node is called decides how it is read. Without defaults: they matter only to readers of another schema. */
function annotated(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(annotated)
  if (typeof schema !== 'object' || schema === null) return schema
  const { default: _, ...node } = schema as Record<string, unknown>
  const type = node.type
  const inner: Record<string, unknown> = { ...node, type: typeof type === 'object' ? annotated(type) : type }
  if (Array.isArray(node.fields)) inner.fields = node.fields.map(annotated)
  for (const name of ['items', 'values']) if (name in node) inner[name] = annotated(node[name])
  // A field is no type, and has no logical one.
  if (readerOf(inner) === null || 'connect.index' in inner) return without(inner, 'logicalType')
  return { ...inner, reads: inner['connect.name'] ?? inner.logicalType, logicalType: OURS }
}

function readerOf(node: Record<string, unknown>): LogicalReader | null {
  const name = node.reads ?? node['connect.name'] ?? node.logicalType
  if (typeof name !== 'string' || typeof node.type === 'object') return null
  const parameters = node['connect.parameters'] as { scale?: string } | undefined
  return logicalReader(name, Number(node.scale ?? parameters?.scale ?? 0))
}

function without(node: Record<string, unknown>, name: string): Record<string, unknown> {
  const { [name]: _, ...rest } = node
  return rest
}

class Logical extends avro.types.LogicalType {
  readonly #read: LogicalReader
  constructor(schema: avro.Schema, opts?: unknown) {
    super(schema, opts as never)
    this.#read = readerOf(schema as unknown as Record<string, unknown>)!
  }
  override _fromValue(value: unknown): unknown {
    return this.#read(value)
  }
  override _toValue(): undefined {
    return undefined
  }
}

const isLong = (node: unknown): node is Record<string, unknown> =>
  typeof node === 'object' && node !== null && 'type' in node && node.type === 'long'

/** A number where that is exact, else a bigint; or what `read` makes of it. */
const longRead = (read: LogicalReader | null = null) =>
  avro.types.LongType.__with({
    fromBuffer(bytes: Buffer) {
      const long = bytes.readBigInt64LE()
      if (read !== null) return read(long)
      const number = Number(long)
      return Number.isSafeInteger(number) ? number : long
    },
    toBuffer: () => Buffer.alloc(8),
    fromJSON: Number,
    toJSON: String,
    isValid: () => true,
    compare: () => 0,
  })
