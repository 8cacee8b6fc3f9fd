import { createServer } from 'node:http'
import { Pool } from 'undici'

/** `node bench/bare-proxy.ts PORT UPSTREAM`: the least that a proxy on Node can do, which is what the gateway cannot be faster than. */
const [, , port, upstream] = process.argv
const pool = new Pool(`http://127.0.0.1:${upstream}`, { connections: 128 })

createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const method = request.method as 'GET' | 'POST'
  const answer = await pool.request({
    path: request.url ?? '/',
    method,
    headers: { 'content-type': 'application/json' },
    ...(method === 'POST' && { body: Buffer.concat(chunks) }),
  })
  const { 'content-type': type, 'content-length': length } = answer.headers
  response.writeHead(answer.statusCode, { 'content-type': String(type), 'content-length': String(length) })
  answer.body.pipe(response)
}).listen(Number(port), '127.0.0.1')
