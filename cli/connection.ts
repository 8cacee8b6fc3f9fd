import { type Client, connect } from '../client/client.ts'
import { addressesOf, loadConfig, queryConfig, rolePorts } from '../services/config.ts'

/** A connection to the query service that the environment names, closed when the work is done. */
export async function withClient<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(queryUrl())
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

export function queryUrl(): string {
  const config = loadConfig(queryConfig, { env: process.env })
  return `ws://127.0.0.1:${rolePorts(config).query}/v1/ws`
}

export const addresses = () => addressesOf(loadConfig(queryConfig, { env: process.env }))
