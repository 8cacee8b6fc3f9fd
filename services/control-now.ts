import type { ControlRecords } from '../processors/collections.ts'
import { control } from '../schemas/topics.ts'
import { nameIn } from '../streams/topic.ts'
import type { Outside } from './outside.ts'

/** What `control` says now, by key; nothing where nobody has made it yet. */
export async function controlNow(outside: Outside, prefix: string): Promise<ControlRecords> {
  const scope = { prefix, space: '' }
  const topics = await outside.broker.admin.topics()
  if (!topics.some(({ name }) => name === nameIn(scope, control))) return new Map()
  return outside.controlNow(scope)
}
