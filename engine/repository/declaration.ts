import { z } from 'zod'
import { modelName } from './reference.ts'

/**
 * `models/<name>/model.json`: what a model is and which versions of it there are. The files of version 3 lie in `models/<name>/3/`;
 * whatever is declared here of a file (its sha256) or of a version (its golden vectors) is verified before it serves.
 */
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits')
const fileName = z
  .string()
  .regex(/^(?!golden\.json$|\.)[A-Za-z0-9._-]{1,100}$/, 'must be the name of a file in the folder')

/** How text becomes a vector, or a pair of texts a score. */
const rules = {
  quantisation: z.enum(['int8', 'none']),
  /** With the special tokens and the prompt. Longer input than this is refused or cut off, so the splitter keeps below it. */
  maxTokens: z.number().int().min(8).max(32_768),
}
const embedRules = {
  ...rules,
  /** How the model's output per token becomes one vector: the mean of all tokens, or the first (CLS) token's. */
  pooling: z.enum(['mean', 'cls']),
  /** Put in front of each text, as the model was trained with. */
  prompts: z.strictObject({ document: z.string().max(1_000), query: z.string().max(1_000) }),
  dimensions: z.number().int().min(1).max(16_384),
}

/** Where a version's files come from; `from` of a file is its path in the jar or folder, or its address. */
const source = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('maven'),
    group: z.string(),
    artifact: z.string(),
    version: z.string(),
  }),
  z.strictObject({ kind: z.literal('folder'), path: z.string() }),
  z.strictObject({ kind: z.literal('url') }),
])

const versionOf = <R extends z.ZodRawShape>(own: R) =>
  z.strictObject({
    source,
    files: z
      .record(fileName, z.strictObject({ sha256, from: z.string().min(1) }))
      .refine((files) => 'model.onnx' in files && 'tokenizer.json' in files, 'needs model.onnx and tokenizer.json'),
    /** sha256 of `golden.json` beside the files. */
    golden: sha256,
    /** What is other in this version than in the model's own rules. */
    rules: z.strictObject(own).partial().optional(),
  })

const number = z.string().regex(/^[1-9]\d{0,8}$/, 'must be the number of a version')
const label = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'may hold small letters, digits and hyphens')
const percent = z.number().min(0).max(100)

/** Where requests go that name no version; with a share for each route, the same caller always goes the same way. */
export const trafficSchema = z.strictObject({
  routes: z
    .array(z.strictObject({ version: z.number().int().positive(), percent }))
    .min(1)
    .max(8),
  /** What a caller is known by. */
  sticky: z.enum(['tenant', 'session']).default('tenant'),
  /** It gets every such request too, behind all others; its answers are measured and dropped. */
  shadow: z.number().int().positive().nullable().default(null),
})

const shared = {
  name: modelName,
  /** `stable` serves whoever names no version. */
  labels: z.record(label, z.number().int().positive()).default({}),
  /** Which versions are kept loaded: the newest ones, or those that are named; what a label names is loaded too. */
  policy: z
    .union([
      z.strictObject({ latest: z.number().int().min(1).max(16) }),
      z.strictObject({ specific: z.array(z.number().int().positive()).min(1).max(16) }),
    ])
    .default({ latest: 1 }),
  traffic: trafficSchema.optional(),
}

const embedDeclaration = z.strictObject({
  ...shared,
  task: z.literal('embed'),
  ...embedRules,
  versions: z.record(number, versionOf(embedRules)),
})
const rerankDeclaration = z.strictObject({
  ...shared,
  task: z.literal('rerank'),
  ...rules,
  versions: z.record(number, versionOf(rules)),
})

export const declarationSchema = z
  .discriminatedUnion('task', [embedDeclaration, rerankDeclaration])
  .superRefine(({ versions, labels, policy, traffic }, context) => {
    const known = (version: number) => String(version) in versions
    const there = Object.keys(versions).join(', ')
    const unknown = (path: (string | number)[], version: number) =>
      context.addIssue({ code: 'custom', path, message: `version ${version} is not declared; there are: ${there}` })
    if (there === '') context.addIssue({ code: 'custom', path: ['versions'], message: 'declares no version' })
    for (const [name, version] of Object.entries(labels)) if (!known(version)) unknown(['labels', name], version)
    if ('specific' in policy)
      for (const version of policy.specific) if (!known(version)) unknown(['policy', 'specific'], version)
    if (traffic === undefined) return
    for (const { version } of traffic.routes) if (!known(version)) unknown(['traffic', 'routes'], version)
    if (traffic.shadow !== null && !known(traffic.shadow)) unknown(['traffic', 'shadow'], traffic.shadow)
    const sum = traffic.routes.reduce((total, each) => total + each.percent, 0)
    if (Math.abs(sum - 100) > 1e-6)
      context.addIssue({ code: 'custom', path: ['traffic', 'routes'], message: `the percents make ${sum}, not 100` })
  })

export type ModelDeclaration = z.infer<typeof declarationSchema>
export type VersionDeclaration = ModelDeclaration['versions'][string]
export type Traffic = z.infer<typeof trafficSchema>
export type Source = z.infer<typeof source>

interface Version {
  readonly name: string
  readonly version: number
  readonly source: Source
  /** By name; `model.onnx` and `tokenizer.json` are among them. */
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly from: string }>>
  readonly golden: string
  readonly quantisation: 'int8' | 'none'
  readonly maxTokens: number
}

/** One version of a model that makes vectors, with all its rules. */
export interface EmbeddingModel extends Version {
  readonly task: 'embed'
  readonly pooling: 'mean' | 'cls'
  readonly prompts: { readonly document: string; readonly query: string }
  readonly dimensions: number
}

/** One version of a model that scores a text for a query. */
export interface RerankModel extends Version {
  readonly task: 'rerank'
}

export type Model = EmbeddingModel | RerankModel

/** Numbers of all versions, the newest first. */
export const versionsOf = ({ versions }: ModelDeclaration): number[] =>
  Object.keys(versions)
    .map(Number)
    .sort((a, b) => b - a)

/** The versions that the policy keeps loaded, and those that labels and traffic name; the newest first. */
export function servedVersions(declaration: ModelDeclaration): number[] {
  const { policy, labels, traffic } = declaration
  const all = versionsOf(declaration)
  const kept = 'latest' in policy ? all.slice(0, policy.latest) : policy.specific
  const shadow = traffic?.shadow ?? null
  const routed = [...(traffic?.routes.map(({ version }) => version) ?? []), ...(shadow === null ? [] : [shadow])]
  const named = new Set([...kept, ...Object.values(labels), ...routed])
  return all.filter((version) => named.has(version))
}

/** @throws if there is no such version: with those that there are. */
export function versionOfModel(declaration: ModelDeclaration, version: number): Model {
  const found = declaration.versions[version]
  if (found === undefined)
    throw new Error(
      `the model ${declaration.name} has no version ${version}; there are: ${versionsOf(declaration).join(', ')}`,
    )
  const { source, files, golden, rules: own } = found
  const { name, task, quantisation, maxTokens } = declaration
  const shared = { name, version, source, files, golden }
  if (task === 'rerank') return { ...shared, task, quantisation, maxTokens, ...own }
  const { pooling, prompts, dimensions } = declaration
  return { ...shared, task, quantisation, maxTokens, pooling, prompts, dimensions, ...own }
}
