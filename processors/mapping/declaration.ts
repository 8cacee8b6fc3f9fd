import { z } from 'zod'
import { TENANT_NAME, TENANT_NAME_IN_WORDS } from '../../schemas/tenant-name.ts'
import { foreignFormats } from '../../streams/foreign.ts'
import { fieldIn } from './fields.ts'
import { boundedPattern, namedPatterns } from './patterns.ts'
import { templateIn } from './template.ts'

/** How the records of one topic of anybody's become documents. */
export type Mapping = z.infer<typeof mappingShape>

const checked =
  <T>(read: (text: string) => T) =>
  (text: string, context: z.RefinementCtx): T => {
    try {
      return read(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message })
      return z.NEVER
    }
  }
const field = z.string().min(1).transform(checked(fieldIn))
const template = z.string().min(1).transform(checked(templateIn))
const tenant = z.string().regex(TENANT_NAME, TENANT_NAME_IN_WORDS)
const scalar = z.union([z.string(), z.number(), z.boolean()])

export const attributeKinds = ['string', 'number', 'boolean', 'strings', 'date'] as const

const attribute = z.union([
  field.transform((named) => ({ field: named, type: undefined, unit: undefined })),
  z.strictObject({
    field,
    type: z.enum(attributeKinds).optional(),
    unit: z.enum(['days', 'ms', 'us', 'ns']).optional(),
  }),
  z.strictObject({ value: z.union([scalar, z.array(z.string())]) }),
])

const cleaning = z.strictObject({
  html: z.array(field).default([]),
  redact: z
    .array(
      z
        .union([
          z.strictObject({
            what: z.enum(Object.keys(namedPatterns) as (keyof typeof namedPatterns)[]),
            with: z.string().optional(),
          }),
          z.strictObject({
            pattern: z.string().min(1).transform(checked(boundedPattern)),
            with: z.string().optional(),
          }),
        ])
        .transform((each) => ({
          pattern: 'what' in each ? namedPatterns[each.what] : each.pattern,
          by: each.with ?? ('what' in each ? `[${each.what}]` : '[redacted]'),
        })),
    )
    .max(32)
    .default([]),
  dropLines: z.array(z.string().min(1)).max(1_000).default([]),
  charactersMin: z.number().int().min(0).default(0),
})

const splitting = z.strictObject({
  by: z.literal('sections'),
  partBytes: z
    .number()
    .int()
    .min(1_024)
    .max(4 * 1024 * 1024)
    .default(256 * 1024),
  partsMax: z.number().int().min(2).max(64).default(16),
})

export const mappingShape = z.strictObject({
  topic: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,200}$/, 'may hold letters, digits, dots, underscores and hyphens; without the prefix'),
  tenant: z.union([tenant, z.strictObject({ field, allowed: z.array(tenant).min(1) })]),
  value: z.enum(foreignFormats).default('json'),
  key: z.enum(['auto', ...foreignFormats]).default('auto'),
  rows: z.enum(['plain', 'debezium', 'flattened']).default('plain'),
  id: template,
  title: template.optional(),
  text: template,
  contentType: z.enum(['text/plain', 'text/markdown', 'text/html']).default('text/plain'),
  url: template.optional(),
  language: template.optional(),
  attributes: z.record(z.string(), attribute).default({}),
  acl: z.union([z.array(z.string()), z.strictObject({ field })]).optional(),
  delete: z.strictObject({ field, equals: z.union([scalar, z.array(scalar).min(1)]) }).optional(),
  clean: cleaning.default({ html: [], redact: [], dropLines: [], charactersMin: 0 }),
  split: z.union([z.literal('sections').transform(() => splitting.parse({ by: 'sections' })), splitting]).optional(),
  priority: z.enum(['interactive', 'bulk']).default('interactive'),
})
