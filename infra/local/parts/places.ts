import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Topic } from '../../../streams/topic.ts'
import type { Ports } from '../ports.ts'
import type { Secured } from '../secure/secured.ts'
import type { Tools } from '../setup.ts'

/** Where a part of the stack finds its tools, keeps its data and listens. */
export interface Places {
  readonly ports: Ports
  readonly dataDir: string
  readonly archiveDir: string
  readonly tools: Tools
  /** null: everybody on this machine is let in. */
  readonly secure: SecurePlaces | null
}

export interface SecurePlaces {
  readonly made: Secured
  /** What the names of Freshet's topics and groups begin with. */
  readonly topicPrefix: string
  /** What ingest reads beside inbox. */
  readonly sources: readonly Topic[]
  /** Whose tokens Kafka takes too; null: only passwords. */
  readonly oauth: KafkaOauth | null
}

/** `jwks`: a URL of public keys, `file:` or `https:`. */
export interface KafkaOauth {
  readonly jwks: string
  readonly issuer: string
  readonly audience: string
}

/** Writes a configuration file of these parts, with `@name@` replaced by the value of that name. It may hold passwords. */
export function writeConfiguration(
  templates: readonly string[],
  path: string,
  values: Readonly<Record<string, string | number>>,
): void {
  const template = templates.map((each) => readFileSync(each, 'utf8')).join('')
  const text = template.replace(/@(\w+)@/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`${templates.join(', ')} ask for ${name}, which has no value`)
    return String(value)
  })
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  writeFileSync(path, text, { mode: 0o600 })
}
