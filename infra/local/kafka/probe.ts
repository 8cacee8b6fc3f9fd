import { once } from 'node:events'
import { connect } from 'node:net'

/**
 * Resolves if the broker answers for the offsets of groups on all partitions of its offsets topic, and knows who coordinates
 * transactions. After a start the port is open before that, and the Kafka client does not retry it. Requests by hand (Kafka's
 * protocol guide), since only the broker port may use the client.
 */
export async function coordinatorsReady(port: number, signal: AbortSignal): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  const abort = () => socket.destroy(new Error('no answer in time'))
  signal.addEventListener('abort', abort)
  try {
    await once(socket, 'connect', { signal })
    const answers = framesOf(socket)
    const call = async (request: Buffer): Promise<Buffer> => {
      socket.write(request)
      const { value } = await answers.next()
      if (value === undefined) throw new Error('the broker has closed the connection')
      return value
    }
    for (const group of probeGroups) {
      requireNone('the group coordinator', errorOfCoordinator(await call(findCoordinator(group, forGroup))))
      requireNone(`the offsets of group ${group}`, errorOfOffsets(await call(fetchOffsets(group))))
    }
    requireNone('the transaction coordinator', errorOfCoordinator(await call(findCoordinator('ready', forTransaction))))
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

/** Java's hash codes of these follow one another, so they lie on all four partitions of the offsets topic. */
const probeGroups = ['ready-0', 'ready-1', 'ready-2', 'ready-3']
const forGroup = 0
const forTransaction = 1

function findCoordinator(key: string, type: number): Buffer {
  return request(10, 1, Buffer.concat([text(key), Buffer.from([type])]))
}

/** Version 2, all topics (a null array). */
function fetchOffsets(group: string): Buffer {
  return request(9, 2, Buffer.concat([text(group), Buffer.from([0xff, 0xff, 0xff, 0xff])]))
}

/** After the size: correlation id (4), throttle time (4), error code. */
function errorOfCoordinator(response: Buffer): number {
  return response.readInt16BE(8)
}

/** The error code is the last thing in version 2. */
function errorOfOffsets(response: Buffer): number {
  return response.readInt16BE(response.length - 2)
}

function requireNone(what: string, error: number): void {
  if (error !== 0) throw new Error(`${what} is not ready (Kafka's error code ${error})`)
}

function request(apiKey: number, version: number, body: Buffer): Buffer {
  const header = Buffer.alloc(12)
  header.writeInt16BE(apiKey, 4)
  header.writeInt16BE(version, 6)
  const whole = Buffer.concat([header, text('freshet-ready'), body])
  whole.writeInt32BE(whole.length - 4, 0)
  return whole
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const size = Buffer.alloc(2)
  size.writeInt16BE(bytes.length)
  return Buffer.concat([size, bytes])
}

async function* framesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0)
      yield rest.subarray(4, end)
      rest = rest.subarray(end)
    }
  }
}
