import {
  type Client,
  connect,
  FreshetError,
  type PublishItem,
  type SearchAnswer,
  type SearchRequest,
} from '../../client/client.ts'
import type { QueryRole } from '../platform.ts'

/** One way in: over WebSocket or HTTP, through a gateway. */
export interface Door {
  readonly name: string
  /** Which instances of the query service may answer here. */
  readonly behind: string
  publish(document: PublishItem): Promise<string>
  search(request: SearchRequest): Promise<SearchAnswer>
  close(): Promise<void>
}

/** Both ways through one gateway. Errors are `FreshetError`, whichever way they come. */
export async function doorsOf(behind: string, gateway: QueryRole, apiKey: string): Promise<readonly Door[]> {
  const client: Client = await connect(gateway.url, { apiKey })
  const base = gateway.url.replace(/^ws/, 'http').replace('/v1/ws', '')
  const post = async (path: string, body: object): Promise<unknown> => {
    const response = await fetch(`${base}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': apiKey },
      body: JSON.stringify(body),
    })
    const answer = (await response.json()) as { code?: string; detail?: string }
    if (!response.ok) throw new FreshetError(answer.code as 'timeout', answer.detail ?? `status ${response.status}`)
    return answer
  }
  return [
    {
      name: `WebSocket to ${behind}`,
      behind,
      publish: async (document) => (await client.publish([document])).token,
      search: (request) => client.search(request),
      close: () => client.close(),
    },
    {
      name: `HTTP to ${behind}`,
      behind,
      publish: async (document) =>
        ((await post('/v1/documents', { documents: [document] })) as { token: string }).token,
      search: async (request) => (await post('/v1/search', request)) as SearchAnswer,
      async close() {},
    },
  ]
}
