import { createServer } from 'node:http'

/** `node bench/upstream.ts PORT`: a service that costs nothing, for what stands before one to be measured. Answers what a search of ten hits has. */
const answer = Buffer.from(
  JSON.stringify({ hits: Array.from({ length: 10 }, (_, i) => ({ i, text: 'x'.repeat(200) })) }),
)

createServer((request, response) => {
  request.resume()
  request.once('end', () =>
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer),
  )
}).listen(Number(process.argv[2]), '127.0.0.1')
