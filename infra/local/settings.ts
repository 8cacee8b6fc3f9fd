import { isAbsolute, join, resolve } from 'node:path'
import { z } from 'zod'

export const repositoryDir = resolve(import.meta.dirname, '../..')

const environment = z.object({
  FRESHET_PORT_BASE: z.coerce
    .number()
    .int()
    .min(1024)
    .max(65_400)
    .default(18_000)
    .describe('All ports of the local stack are counted from this one.'),
  FRESHET_DATA: z.string().min(1).default('.freshet').describe('Folder of all data, logs and pid files.'),
  FRESHET_TOOLS: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of what was downloaded (jars, models, Python). Default: tools/ in FRESHET_DATA.'),
  FRESHET_QDRANT_URL: z.url().optional().describe('gRPC address of a Qdrant to use, instead of a local one.'),
})

export interface LocalSettings {
  readonly portBase: number
  readonly dataDir: string
  readonly toolsDir: string
  readonly qdrantUrl: string | null
}

/** Where the local stack lies and listens. Throws with all faults at once, in words. Relative folders are in the repository. */
export function localSettings(env: Readonly<Record<string, string | undefined>>): LocalSettings {
  const parsed = environment.safeParse(env)
  if (!parsed.success) {
    throw new Error(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'))
  }
  const dataDir = absolute(parsed.data.FRESHET_DATA)
  return {
    portBase: parsed.data.FRESHET_PORT_BASE,
    dataDir,
    toolsDir: absolute(parsed.data.FRESHET_TOOLS ?? join(dataDir, 'tools')),
    qdrantUrl: parsed.data.FRESHET_QDRANT_URL ?? null,
  }
}

function absolute(path: string): string {
  return isAbsolute(path) ? path : join(repositoryDir, path)
}
