import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Fatal } from '../../streams/errors.ts'
import type { Model, Source } from './declaration.ts'
import { type Golden, goldenIn } from './golden.ts'

export const GOLDEN = 'golden.json'

/** Throws `Fatal` for the first file of a version that is not there, or is not the one that its `model.json` declares. */
export async function verifyFiles(folder: string, model: Model): Promise<void> {
  for (const [file, { sha256 }] of Object.entries(model.files)) await verifyFile(folder, file, sha256, model)
  await verifyFile(folder, GOLDEN, model.golden, model)
}

export async function goldenFile(folder: string): Promise<Golden> {
  const path = join(folder, GOLDEN)
  try {
    return goldenIn(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new Fatal(`${path} holds no golden vectors`, { cause })
  }
}

async function verifyFile(folder: string, file: string, sha256: string, model: Model): Promise<void> {
  const path = join(folder, file)
  const found = await sha256Of(path).catch((cause: unknown) => {
    throw new Fatal(`cannot read ${path} of the model ${nameOf(model)} (from ${describeSource(model.source)})`, {
      cause,
    })
  })
  if (found !== sha256)
    throw new Fatal(`${path} is not the file of the model ${nameOf(model)}: expected sha256 ${sha256}, found ${found}`)
}

export const nameOf = ({ name, version }: Pick<Model, 'name' | 'version'>): string => `${name}@${version}`

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), hash)
  return hash.digest('hex')
}

const CHUNK_BYTES = 1024 * 1024

export function describeSource(source: Source): string {
  if (source.kind === 'maven') return `${source.group}:${source.artifact}:${source.version}`
  return source.kind === 'folder' ? source.path : 'its addresses in model.json'
}
