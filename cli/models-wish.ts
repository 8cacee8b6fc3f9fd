import { join } from 'node:path'
import { catalogue } from '../engine/repository/catalogue.ts'
import { declarationSchema, type ModelDeclaration, versionsOf } from '../engine/repository/declaration.ts'
import { sha256Of } from '../engine/repository/model-files.ts'
import { declarationIn, declaredIn } from '../engine/repository/repository.ts'

/** What `freshet models add` is told of a model. */
export interface ModelWish {
  readonly folder?: string
  readonly modelUrl?: string
  readonly modelSha256?: string
  readonly tokenizerUrl?: string
  readonly tokenizerSha256?: string
  readonly as?: number
  readonly pooling?: 'mean' | 'cls'
  readonly dimensions?: number
  readonly maxTokens?: number
  readonly quantisation?: 'int8' | 'none'
  readonly queryPrompt?: string
  readonly documentPrompt?: string
}

/** A declaration with the one version that is to be added. Of a model that is there, what is not said is as before. */
export async function wishedModel(name: string, wish: ModelWish, modelsDir: string): Promise<ModelDeclaration> {
  const { folder, as } = wish
  const known = catalogue.find((each) => each.name === name)
  const isElsewhere = folder !== undefined || wish.modelUrl !== undefined
  if (!isElsewhere) {
    if (known !== undefined) return known
    throw new Error(
      `nobody knows the model '${name}': give --folder, or --model-url and --tokenizer-url with their hashes; known are ${catalogue.map((each) => each.name).join(', ')}`,
    )
  }
  const present = known !== undefined || declaredIn(modelsDir).includes(name) ? declarationIn(modelsDir, name) : null
  const version = as ?? (present === null ? 1 : Math.max(...versionsOf(present)) + 1)
  if (present !== null && version in present.versions)
    throw new Error(`--as ${version}: ${name} has that version; a version never changes, add another`)
  const rules = rulesOf(wish, present)
  const { source, files } = folder !== undefined ? await inFolder(folder) : atAddresses(wish)
  // The golden vectors are made when it is there.
  const declared = { source, files, golden: '0'.repeat(64), rules }
  const { success, data, error } = declarationSchema.safeParse({
    name,
    task: 'embed',
    ...rules,
    versions: { [version]: declared },
    labels: { stable: version },
  })
  if (success) return data
  throw new Error(error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`).join('; '))
}

function rulesOf(wish: ModelWish, present: ModelDeclaration | null) {
  const before = present?.task === 'embed' ? present : null
  return {
    pooling: wish.pooling ?? before?.pooling ?? 'mean',
    dimensions: wish.dimensions ?? before?.dimensions ?? 384,
    maxTokens: wish.maxTokens ?? before?.maxTokens ?? 256,
    quantisation: wish.quantisation ?? before?.quantisation ?? 'none',
    prompts: {
      query: wish.queryPrompt ?? before?.prompts.query ?? '',
      document: wish.documentPrompt ?? before?.prompts.document ?? '',
    },
  }
}

async function inFolder(path: string) {
  const names = ['model.onnx', 'tokenizer.json'] as const
  const files = await Promise.all(
    names.map(async (file) => {
      const sha256 = await sha256Of(join(path, file)).catch((cause) => {
        throw new Error(`--folder ${path} has no ${file} that can be read`, { cause })
      })
      return [file, { sha256, from: file }] as const
    }),
  )
  return { source: { kind: 'folder' as const, path }, files: Object.fromEntries(files) }
}

function atAddresses({ modelUrl, modelSha256, tokenizerUrl, tokenizerSha256 }: ModelWish) {
  const missing = Object.entries({
    '--model-sha256': modelSha256,
    '--tokenizer-url': tokenizerUrl,
    '--tokenizer-sha256': tokenizerSha256,
  }).flatMap(([flag, value]) => (value === undefined ? [flag] : []))
  if (missing.length > 0) throw new Error(`--model-url needs ${missing.join(', ')} too`)
  return {
    source: { kind: 'url' as const },
    files: {
      'model.onnx': { sha256: modelSha256!.toLowerCase(), from: modelUrl! },
      'tokenizer.json': { sha256: tokenizerSha256!.toLowerCase(), from: tokenizerUrl! },
    },
  }
}
