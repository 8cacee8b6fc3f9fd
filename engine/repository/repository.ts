import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Fatal } from '../../streams/errors.ts'
import { catalogue } from './catalogue.ts'
import {
  declarationSchema,
  type EmbeddingModel,
  type Model,
  type ModelDeclaration,
  versionOfModel,
} from './declaration.ts'
import { referenceOf, versionMeant } from './reference.ts'

/** The model that is meant by `name`, `name@3` or `name:canary`, as its `model.json` says; where it has none, as the catalogue does. */
export function modelIn(modelsDir: string, reference: string): Model {
  const meant = referenceOf(reference)
  const declaration = declarationIn(modelsDir, meant.name)
  return versionOfModel(declaration, versionMeant(declaration, meant))
}

/** @throws where the model is one of another task. */
export function embeddingModelIn(modelsDir: string, reference: string): EmbeddingModel {
  const model = modelIn(modelsDir, reference)
  if (model.task === 'embed') return model
  throw new Error(`${reference} scores texts for a query, it makes no vectors; ${embeddersIn(modelsDir)}`)
}

const embeddersIn = (modelsDir: string): string =>
  `models that make vectors: ${declarationsIn(modelsDir)
    .filter(({ task }) => task === 'embed')
    .map(({ name }) => name)
    .join(', ')}`

/** @throws if nobody has declared the model: with the names of those that are. */
export function declarationIn(modelsDir: string, name: string): ModelDeclaration {
  const path = join(modelsDir, name, DECLARATION)
  const declaration = read(path) ?? catalogue.find((each) => each.name === name)
  if (declaration === undefined)
    throw new Error(`no model is called '${name}'; there are: ${namesIn(modelsDir).join(', ')}`)
  if (declaration.name !== name)
    throw new Fatal(`${path} declares the model ${declaration.name}; its folder is ${name}`)
  return declaration
}

/** All that are declared in the folder, and the others of the catalogue. */
export const declarationsIn = (modelsDir: string): ModelDeclaration[] =>
  namesIn(modelsDir).map((name) => declarationIn(modelsDir, name))

/** Those that have a `model.json`. */
export const declaredIn = (modelsDir: string): string[] =>
  foldersOf(modelsDir).filter((name) => isDeclared(modelsDir, name))

const namesIn = (modelsDir: string): string[] => [
  ...new Set([...catalogue.map(({ name }) => name), ...declaredIn(modelsDir)]),
]

export const folderOf = (modelsDir: string, { name, version }: Pick<Model, 'name' | 'version'>): string =>
  join(modelsDir, name, String(version))

/** Changes a model's declaration in one step: who reads it sees the old one or the new one. `change` is given null where there is none. */
export function declare(
  modelsDir: string,
  name: string,
  change: (present: ModelDeclaration | null) => ModelDeclaration,
): ModelDeclaration {
  const folder = join(modelsDir, name)
  mkdirSync(folder, { recursive: true })
  const path = join(folder, DECLARATION)
  const next = parsed(change(read(path)), path)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(next, null, 2)}\n`)
  renameSync(draft, path)
  return next
}

/** With these versions too, each in place of the one of its number. */
export const withVersions = (declaration: ModelDeclaration, versions: ModelDeclaration['versions']): ModelDeclaration =>
  ({ ...declaration, versions: { ...declaration.versions, ...versions } }) as ModelDeclaration

const DECLARATION = 'model.json'

function read(path: string): ModelDeclaration | null {
  const text = textOf(path)
  if (text === null) return null
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new Fatal(`${path} is not JSON`, { cause })
  }
  return parsed(json, path)
}

function parsed(json: unknown, path: string): ModelDeclaration {
  const { success, data, error } = declarationSchema.safeParse(json)
  if (success) return data
  const faults = error.issues.map(({ path: at, message }) => `${at.map(String).join('.') || 'it'}: ${message}`)
  throw new Fatal(`${path} declares no model: ${faults.join('; ')}`)
}

const isDeclared = (modelsDir: string, name: string): boolean => textOf(join(modelsDir, name, DECLARATION)) !== null

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    if (isMissing(cause)) return null
    throw new Fatal(`cannot read ${path}`, { cause })
  }
}

function foldersOf(modelsDir: string): string[] {
  try {
    return readdirSync(modelsDir, { withFileTypes: true })
      .filter((entry) => !entry.name.startsWith('.') && !entry.isFile())
      .map(({ name }) => name)
      .sort()
  } catch (cause) {
    if (isMissing(cause)) return []
    throw new Fatal(`cannot read ${modelsDir}`, { cause })
  }
}

const isMissing = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
