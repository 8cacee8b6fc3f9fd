import { z } from 'zod'

/**
 * What a search may be narrowed to: each named attribute must hold. A value alone means equal (or, of a list attribute,
 * contains). `{ in: [...] }`, `{ not: value }`, and for numbers `{ gt, gte, lt, lte }`.
 */
const scalar = z.union([z.string().max(4_096), z.number(), z.boolean()])
const condition = z.union([
  scalar,
  z.strictObject({ in: z.array(scalar).min(1).max(100) }),
  z.strictObject({ not: scalar }),
  z
    .strictObject({
      gt: z.number().optional(),
      gte: z.number().optional(),
      lt: z.number().optional(),
      lte: z.number().optional(),
    })
    .refine((range) => Object.keys(range).length > 0, 'names no bound; give gt, gte, lt or lte'),
])

export const filterSchema = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/, 'is not the name of an attribute'), condition)
  .refine((filter) => Object.keys(filter).length <= 32, 'has more than 32 conditions')

export type Scalar = z.infer<typeof scalar>
export type Condition = z.infer<typeof condition>
export type Filter = z.infer<typeof filterSchema>
