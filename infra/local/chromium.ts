import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The browser of this machine; null: there is none. None is downloaded. */
export function chromiumPath(path = process.env.PATH ?? ''): string | null {
  const files = path.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)))
  return files.find((file) => existsSync(file)) ?? null
}

export const NO_CHROMIUM = 'there is no Chromium on the path; install it (Debian: apt-get install chromium)'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']
