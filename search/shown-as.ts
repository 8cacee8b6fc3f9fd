import { z } from 'zod'

/** What the pages of the interfaces say of a schema that is checked by code: `.meta(shownAs(the schema that says the same))`. */
export function shownAs(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...shown } = z.toJSONSchema(schema)
  return shown
}
