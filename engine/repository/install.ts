import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Fatal } from '../../streams/errors.ts'
import { type Model, type ModelDeclaration, versionOfModel, versionsOf } from './declaration.ts'
import { download } from './download.ts'
import type { Golden } from './golden.ts'
import { GOLDEN, nameOf, sha256Of, verifyFiles } from './model-files.ts'
import { declare, folderOf, withVersions } from './repository.ts'

export interface Installing {
  readonly modelsDir: string
  /** With one version: the one to be installed. */
  readonly declaration: ModelDeclaration
  readonly signal: AbortSignal
  /** Fills the folder from a jar. */
  maven(model: Model, folder: string): Promise<void>
  /** Golden vectors of the model in the folder; a version that has them from elsewhere is compared with them when it is loaded. */
  golden(model: Model, folder: string): Promise<Golden>
  progress(file: string, bytes: number, of: number | null): void
}

/**
 * Fetches a version, verifies it, lets it make the golden vectors, and only then declares it: a version that is declared worked once.
 * Interrupted, the same call goes on with what has come.
 */
export async function install(installing: Installing): Promise<Model> {
  const { modelsDir, declaration } = installing
  const [number = 1] = versionsOf(declaration)
  const model = versionOfModel(declaration, number)
  const folder = folderOf(modelsDir, model)
  const draft = `${folder}.draft`
  await mkdir(draft, { recursive: true })
  await fetchFiles(model, draft, installing)
  const json = `${JSON.stringify(await installing.golden(model, draft), null, 2)}\n`
  await writeFile(join(draft, GOLDEN), json)
  const made = { ...declaration.versions[number]!, golden: createHash('sha256').update(json).digest('hex') }
  await verifyFiles(draft, { ...model, golden: made.golden })
  for (const name of await readdir(draft)) if (name.endsWith('.part')) await rm(join(draft, name))
  await rm(folder, { recursive: true, force: true })
  await rename(draft, folder)
  const declared = declare(modelsDir, model.name, (present) => {
    if (present !== null && present.task !== model.task)
      throw new Fatal(
        `${model.name} is a model to ${present.task}, not to ${model.task}; give the new one another name`,
      )
    return withVersions(present ?? declaration, { [number]: made } as ModelDeclaration['versions'])
  })
  return versionOfModel(declared, number)
}

async function fetchFiles(model: Model, draft: string, { maven, progress, signal }: Installing): Promise<void> {
  const { source, files } = model
  const missing: [string, { readonly sha256: string; readonly from: string }][] = []
  for (const [file, declared] of Object.entries(files)) {
    const found = await sha256Of(join(draft, file)).catch(() => null)
    if (found !== declared.sha256) missing.push([file, declared])
  }
  if (missing.length === 0) return
  if (source.kind === 'maven') return maven(model, draft)
  for (const [file, { sha256, from }] of missing) {
    const to = join(draft, file)
    if (source.kind === 'url') {
      const told = (bytes: number, of: number | null) => progress(file, bytes, of)
      await download({ url: from, sha256, to, signal, progress: told })
      continue
    }
    const path = resolve(source.path, from)
    await copyFile(path, to).catch((cause) => {
      throw new Error(`cannot copy ${path} for the model ${nameOf(model)}`, { cause })
    })
  }
}
