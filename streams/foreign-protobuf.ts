import protobuf from 'protobufjs'

/**
 * Reads Confluent's framing of Protobuf behind the schema's id: which message of the file it is, then the message. Longs are their digits, enums their
 * names, fields are called as in the file. Throws for bytes that are no such message.
 */
export function foreignProtobufReader(text: string): (bytes: Buffer, start: number) => unknown {
  const root = new protobuf.Root()
  for (const name of text.match(/google\/protobuf\/\w+\.proto/g) ?? []) {
    const nested = protobuf.common.get(name)?.nested
    if (nested === undefined) throw new Error(`imports ${name}, which is not known here`)
    root.addJSON(nested)
  }
  const { package: of } = protobuf.parse(text, root, { keepCase: true })
  root.resolveAll()
  const file = of === undefined ? root : root.lookup(of)
  return (bytes, start) => {
    const reader = protobuf.Reader.create(bytes)
    reader.skip(start)
    const count = reader.sint32()
    if (count < 0 || count > INDEXES_MAX) throw new RangeError(`it names a message by ${count} indexes`)
    const path = count === 0 ? [0] : Array.from({ length: count }, () => reader.sint32())
    const message = path.reduce<protobuf.ReflectionObject | null>(messageAt, file)
    if (!(message instanceof protobuf.Type)) throw new RangeError(`the schema has no message ${path.join('.')}`)
    return message.toObject(message.decode(reader), {
      longs: String,
      enums: String,
      bytes: Buffer,
      defaults: true,
      arrays: true,
    })
  }
}

/** In the order of the file, as the framing counts them. */
function messageAt(within: protobuf.ReflectionObject | null, index: number): protobuf.ReflectionObject | null {
  if (!(within instanceof protobuf.Namespace)) return null
  return within.nestedArray.filter((each) => each instanceof protobuf.Type)[index] ?? null
}

/** Messages within messages. */
const INDEXES_MAX = 32
