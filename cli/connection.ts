import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, connect, FreshetError } from '../client/client.ts'
import { trust } from '../connectors/qdrant/trust.ts'
import { addressesOf, callerConfig, loadConfig, queryConfig, rolePorts } from '../services/config.ts'

/** A connection to the platform that the environment names, closed when the work is done. `signal` ends only the connecting. */
export async function withClient<T>(work: (client: Client) => Promise<T>, signal?: AbortSignal): Promise<T> {
  const client = await connectClient(undefined, signal)
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

export function connectClient(timeoutMs?: number, signal?: AbortSignal): Promise<Client> {
  trustDoor()
  const apiKey = ownKey()
  return connect(socketUrl(), {
    ...(apiKey !== null && { apiKey }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(signal && { signal }),
  }).catch((error) => {
    if (!(error instanceof FreshetError) || error.code !== 'unreachable') throw error
    throw new FreshetError(
      'unreachable',
      `${error.message}; start the platform with npm start, or set FRESHET_URL`,
      true,
    )
  })
}

export function socketUrl(): string {
  const config = loadConfig(callerConfig, { env: process.env })
  if (config.url !== undefined) return new URL('/v1/ws', config.url.replace(/^http/, 'ws')).href
  return `ws://127.0.0.1:${rolePorts(config).gateway}/v1/ws`
}

/** Before anybody goes there. */
export function trustDoor(): void {
  const { urlCa } = loadConfig(callerConfig, { env: process.env })
  if (urlCa !== undefined) trust(readFileSync(urlCa, 'utf8'))
}

/** What `npm start` writes for who started it. */
export const credentialsPath = (data: string): string => join(data, 'credentials.json')

function ownKey(): string | null {
  const { apiKey, data } = loadConfig(callerConfig, { env: process.env })
  if (apiKey !== undefined) return apiKey
  const path = credentialsPath(data)
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { apiKey: string }).apiKey : null
}

export const addresses = () => addressesOf(loadConfig(queryConfig, { env: process.env }))
