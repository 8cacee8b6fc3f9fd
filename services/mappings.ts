import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Mapping } from '../processors/mapping/declaration.ts'
import { readMappings } from '../processors/mapping/read-mappings.ts'
import { Fatal } from '../streams/errors.ts'
import type { PlatformConfig } from './config.ts'

/** What is configured, by topic. Throws `Fatal` with all faults at once. */
export function mappingsOf({ mappings: path }: Pick<PlatformConfig, 'mappings'>): ReadonlyMap<string, Mapping> {
  const byTopic = new Map<string, Mapping>()
  if (path === undefined) return byTopic
  const faults: string[] = []
  for (const file of filesAt(path)) {
    const read = readMappings(readFileSync(file, 'utf8'), file)
    faults.push(...read.faults)
    for (const mapping of read.mappings) {
      if (byTopic.has(mapping.topic)) faults.push(`${file}: topic ${mapping.topic} has two mappings; leave one out`)
      byTopic.set(mapping.topic, mapping)
    }
  }
  if (faults.length > 0) throw new Fatal(`the mappings are wrong: ${faults.join('; ')}`)
  return byTopic
}

function filesAt(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
    return readdirSync(path)
      .filter((name) => /\.(ya?ml|json)$/.test(name))
      .sort()
      .map((name) => join(path, name))
  } catch (cause) {
    throw new Fatal(`mappings: ${path} (FRESHET_MAPPINGS) cannot be read; name a file or folder that is there`, {
      cause,
    })
  }
}
