import { accessSync, constants } from 'node:fs'

/** What is wrong with the files that these settings name: those that cannot be read. */
export function unreadableFaults<Name extends string>(
  names: readonly Name[],
  config: Readonly<Partial<Record<Name, string | undefined>>>,
  variableOf: (name: string) => string,
): string[] {
  return names.flatMap((name) => {
    const path = config[name]
    if (path === undefined || isReadable(path)) return []
    return [`${name} from ${variableOf(name)} is ${JSON.stringify(path)}: this file cannot be read`]
  })
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}
