import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { Fatal } from '../../streams/errors.ts'
import { isReference, isSecretName } from './secrets.ts'

/** A connector as somebody wants it: one file of a folder. */
export interface DeclaredConnector {
  readonly name: string
  readonly file: string
  /** Null: whatever it is in is left. */
  readonly state: ConnectorState | null
  /** As Connect takes it: every value is text, references to secrets are not resolved. */
  readonly config: Readonly<Record<string, string>>
}

export const connectorStates = ['running', 'paused', 'stopped'] as const
export type ConnectorState = (typeof connectorStates)[number]

const setting = z.union([z.string(), z.number(), z.boolean()], 'must be text, a number, true or false')

const declaration = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]+$/, 'may hold letters, digits, dots, underscores and hyphens')
    .optional(),
  state: z.enum(connectorStates).optional(),
  config: z.record(z.string(), setting),
})

/** Reads the files (YAML or JSON) of a folder, or one file. Throws `Fatal` with every fault of all of them, each with its file, line and setting. */
export function declaredIn(path: string): DeclaredConnector[] {
  const faults: string[] = []
  const connectors = filesIn(path).flatMap((file) => {
    const read = declaredBy(file, readFileSync(file, 'utf8'))
    faults.push(...read.faults)
    return read.connector ?? []
  })
  const names = new Map<string, string>()
  for (const { name, file } of connectors) {
    const other = names.get(name)
    if (other !== undefined) faults.push(`${file}: name: ${name} is declared in ${other} too; a connector has one file`)
    names.set(name, file)
  }
  if (faults.length > 0) throw new Fatal(`the connectors are declared wrongly:\n  ${faults.join('\n  ')}`)
  return connectors.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Pure: what one file says, or what is wrong with it. */
export function declaredBy(file: string, text: string): { connector?: DeclaredConnector; faults: string[] } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  const wrong = document.errors.map(
    ({ message, pos }) => `${file}:${lines.linePos(pos[0]).line}: ${firstLine(message)}`,
  )
  if (wrong.length > 0) return { faults: wrong }
  const lineOf = (path: readonly PropertyKey[]) => lineIn(document.contents, path, lines)
  const parsed = declaration.safeParse(document.toJS())
  if (!parsed.success)
    return {
      faults: parsed.error.issues.map(
        ({ path, message }) => `${file}:${lineOf(path)}: ${path.join('.') || 'file'}: ${message}`,
      ),
    }
  const { name = basename(file, extname(file)), state = null } = parsed.data
  const config = Object.fromEntries(Object.entries(parsed.data.config).map(([key, value]) => [key, String(value)]))
  const faults: string[] = []
  const fault = (key: string, message: string) =>
    faults.push(`${file}:${lineOf(['config', key])}: config.${key}: ${message}`)
  if (!config['connector.class']) fault('connector.class', 'is missing; name the class of a connector that Connect has')
  if (config.name !== undefined && config.name !== name)
    fault('name', `is ${config.name}, but the connector is called ${name}; leave it out`)
  for (const [key, value] of Object.entries(config)) {
    if (isSecretName(key) && !isReference(value))
      fault(
        key,
        `holds a secret; refer to it: \${env:NAME}, \${file:PATH:KEY} or \${dir:FOLDER:FILE}, which Connect resolves`,
      )
  }
  return faults.length > 0 ? { faults } : { connector: { name, file, state, config }, faults }
}

function filesIn(path: string): string[] {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined)
    throw new Fatal(`${path} is not there; name a folder of connector files (YAML or JSON), or one`)
  if (stats.isFile()) return [path]
  const files = readdirSync(path)
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(path, name))
  if (files.length === 0) throw new Fatal(`${path} holds no connector file; each is one .yaml or .json`)
  return files
}

/** The line of the innermost part of the path that the file has. */
function lineIn(contents: unknown, path: readonly PropertyKey[], lines: LineCounter): number {
  let at = 0
  let node = contents
  for (const step of path) {
    if (!isMap(node)) break
    const pair = node.items.find(({ key }) => isScalar(key) && key.value === step)
    if (pair === undefined) break
    if (isScalar(pair.key) && pair.key.range) at = pair.key.range[0]
    node = pair.value
  }
  return lines.linePos(at).line
}

const firstLine = (text: string): string => text.split('\n')[0]!.replace(/:$/, '')
