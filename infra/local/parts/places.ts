import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Ports } from '../ports.ts'
import type { Tools } from '../setup.ts'

/** Where a part of the stack finds its tools, keeps its data and listens. */
export interface Places {
  readonly ports: Ports
  readonly dataDir: string
  readonly archiveDir: string
  readonly tools: Tools
}

/** Writes a configuration file, with `@name@` replaced by the value of that name. */
export function writeConfiguration(
  template: string,
  path: string,
  values: Readonly<Record<string, string | number>>,
): void {
  const text = readFileSync(template, 'utf8').replace(/@(\w+)@/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`${template} asks for ${name}, which has no value`)
    return String(value)
  })
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
