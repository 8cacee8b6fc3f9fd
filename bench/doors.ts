import { Agent, request } from 'node:http'
import { connect } from '../client/client.ts'

/** One way to ask the query service. */
export interface Door {
  readonly name: string
  search(wish: { readonly query: string; readonly k: number }): Promise<Answer>
  close(): void
}

interface Answer {
  readonly hits: readonly object[]
  readonly ms: { readonly embed: number; readonly search: number }
}

/** One WebSocket, and HTTP over connections that are kept. */
export async function doorsOf(address: string): Promise<readonly Door[]> {
  const client = await connect(`ws://${address}/v1/ws`)
  const agent = new Agent({ keepAlive: true })
  const post = (wish: object): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asked = request(`http://${address}/v1/search`, {
        agent,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      })
      asked.once('error', reject)
      asked.once('response', (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part) => {
          text += part
        })
        response.once('end', () =>
          response.statusCode === 200
            ? resolve(JSON.parse(text))
            : reject(new Error(`${response.statusCode} from /v1/search: ${text.slice(0, 200)}`)),
        )
      })
      asked.end(JSON.stringify(wish))
    })
  return [
    { name: 'WebSocket', search: (wish) => client.search(wish), close: () => void client.close() },
    { name: 'HTTP', search: post, close: () => agent.destroy() },
  ]
}
