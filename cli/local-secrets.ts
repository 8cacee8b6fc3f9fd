import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { scopes } from '../services/principal.ts'
import { administer } from './administer.ts'
import { credentialsPath } from './connection.ts'
import { createKey } from './keys.ts'

/** What gateway and services of this machine know each other by; made once, for this user only. Answers the file. */
export function internalSecretFile(dataDir: string): string {
  const path = resolve(join(dataDir, 'internal-secret'))
  if (existsSync(path)) return path
  mkdirSync(dataDir, { recursive: true })
  writeFileSync(path, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
  return path
}

/** A key for whoever started the platform, where the command line finds it. */
export async function ensureOwnKey(dataDir: string): Promise<void> {
  const path = credentialsPath(dataDir)
  if (existsSync(path)) return
  const { apiKey, id } = await administer((administration) =>
    createKey('whoever runs npm start', { scopes, groups: ['*'] }, administration),
  )
  writeFileSync(path, `${JSON.stringify({ id, apiKey }, null, 2)}\n`, { mode: 0o600 })
}
