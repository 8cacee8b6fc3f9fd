/**
 * A cross-encoder for tests, as the bytes of an ONNX file: the logit of a pair is the number of equal tokens, one of the query and one of
 * the text, less 1. (The two SEP tokens are a pair too, which makes it 2 less.) No weights of a real one are in the package registries.
 */
export function overlapModel(): Buffer {
  const graph = message(
    bytes(1, node('Unsqueeze', ['input_ids', 'two'], 'down')),
    bytes(1, node('Unsqueeze', ['input_ids', 'one'], 'across')),
    bytes(1, node('Equal', ['down', 'across'], 'equal')),
    bytes(1, node('Cast', ['equal'], 'equals', { to: FLOAT })),
    bytes(1, node('Cast', ['token_type_ids'], 'of_text', { to: FLOAT })),
    bytes(1, node('Sub', ['unit', 'of_text'], 'of_query')),
    bytes(1, node('Unsqueeze', ['of_query', 'two'], 'rows')),
    bytes(1, node('Unsqueeze', ['of_text', 'one'], 'columns')),
    bytes(1, node('Mul', ['equals', 'rows'], 'in_query')),
    bytes(1, node('Mul', ['in_query', 'columns'], 'in_both')),
    bytes(1, node('ReduceSum', ['in_both'], 'sum', { keepdims: 0 })),
    bytes(1, node('Sub', ['sum', 'offset'], 'less')),
    bytes(1, node('Reshape', ['less', 'shape'], 'logits')),
    text(2, 'overlap'),
    bytes(5, integers('one', [1])),
    bytes(5, integers('two', [2])),
    bytes(5, integers('shape', [1, 1])),
    bytes(5, float('unit', 1)),
    bytes(5, float('offset', 2)),
    ...['input_ids', 'attention_mask', 'token_type_ids'].map((name) =>
      bytes(11, tensor(name, INT64, ['batch', 'tokens'])),
    ),
    bytes(12, tensor('logits', FLOAT, ['batch', 'score'])),
  )
  return message(varint(1, 8), bytes(7, graph), bytes(8, message(text(1, ''), varint(2, 13))))
}

/** Whole words, put in small letters; what is not among the words is unknown. */
export const overlapTokenizer = (words: readonly string[]): string => {
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']
  const vocab = Object.fromEntries([...special, ...words].map((word, id) => [word, id]))
  return JSON.stringify({
    version: '1.0',
    added_tokens: [],
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    model: { type: 'WordLevel', vocab, unk_token: '[UNK]' },
  })
}

/** Of ONNX: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Only what is needed here. */
const [FLOAT, INT64] = [1, 7]
const INT_ATTRIBUTE = 2

const node = (type: string, inputs: readonly string[], output: string, attributes: Record<string, number> = {}) =>
  message(
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(4, type),
    ...Object.entries(attributes).map(([name, value]) =>
      bytes(5, message(text(1, name), varint(3, value), varint(20, INT_ATTRIBUTE))),
    ),
  )

const integers = (name: string, values: readonly number[]) =>
  message(varint(1, values.length), varint(2, INT64), ...values.map((value) => varint(7, value)), text(8, name))

const float = (name: string, value: number) => {
  const packed = Buffer.alloc(4)
  packed.writeFloatLE(value)
  return message(varint(2, FLOAT), bytes(4, packed), text(8, name))
}

const tensor = (name: string, type: number, dims: readonly string[]) => {
  const shape = message(...dims.map((dim) => bytes(1, text(2, dim))))
  return message(text(1, name), bytes(2, bytes(1, message(varint(1, type), bytes(2, shape)))))
}

const message = (...fields: readonly Buffer[]): Buffer => Buffer.concat(fields)
const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value))
const bytes = (field: number, value: Buffer): Buffer =>
  Buffer.concat([numberOf(field * 8 + 2), numberOf(value.length), value])
const varint = (field: number, value: number): Buffer => Buffer.concat([numberOf(field * 8), numberOf(value)])

function numberOf(value: number): Buffer {
  const parts: number[] = []
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...parts, left])
    parts.push((left % 128) + 128)
  }
}
