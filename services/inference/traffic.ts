import { createHash } from 'node:crypto'
import type { Traffic } from '../../engine/repository/declaration.ts'

/** The version that a caller is sent to: the same one each time, as long as the shares are. A larger share moves only whom it must. Pure. */
export function routedVersion({ routes }: Pick<Traffic, 'routes'>, caller: string): number {
  const place = (createHash('sha256').update(caller).digest().readUInt32LE(0) / 2 ** 32) * 100
  let upTo = 0
  for (const { version, percent } of routes) {
    upTo += percent
    if (place < upTo) return version
  }
  return routes.at(-1)!.version
}
