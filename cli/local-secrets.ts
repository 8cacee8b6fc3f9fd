import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EVERY_GROUP } from '../search/visibility.ts'
import { callerConfig, loadConfig } from '../services/config.ts'
import { createKey } from '../services/key-administration.ts'
import { scopes } from '../services/principal.ts'
import { administer } from './administer.ts'
import { credentialsPath, socketUrl, trustDoor } from './connection.ts'

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
  const { tenant } = loadConfig(callerConfig, { env: process.env })
  const { apiKey, id } = await administer((administration) =>
    createKey({ name: 'whoever runs npm start', tenant, scopes, groups: [EVERY_GROUP] }, administration),
  )
  writeFileSync(path, `${JSON.stringify({ id, apiKey }, null, 2)}\n`, { mode: 0o600 })
  trustDoor()
  // The gateway hears of it in a moment.
  for (const late = Date.now() + KNOWN_MS_MAX; Date.now() < late; await delay(KNOWN_LOOK_MS)) {
    const { status } = await fetch(socketUrl().replace(/^ws/, 'http'), { headers: { 'x-api-key': apiKey } })
    if (status !== 401 && status !== 429) return
  }
}

const KNOWN_MS_MAX = 10_000
const KNOWN_LOOK_MS = 100
