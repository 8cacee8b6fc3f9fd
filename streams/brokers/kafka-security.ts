import net from 'node:net'
import tls from 'node:tls'
import kafkajs, { type AuthenticationProviderArgs, type Authenticator, type Mechanism } from 'kafkajs'
import { reasonOf } from '../errors.ts'

/** How Kafka is reached where it is protected. Whatever is asked for by a function is asked for at each connection, so it may change. */
export interface KafkaSecurity {
  /** null: not encrypted. */
  readonly tls: (() => TlsFiles) | null
  /** null: as nobody. */
  readonly sasl: Sasl | null
  /** How we come, by the names of the settings: part of what is said when Kafka does not let us in. */
  readonly how: string
}

interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export type Sasl =
  | {
      readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
      user(): { readonly username: string; readonly password: string }
    }
  | { readonly mechanism: 'OAUTHBEARER'; token(): Promise<string> }

/** TLS over a connection that is being made. A fault before it stands says how we came. */
export function overTls(plain: net.Socket, host: string, { tls: files, how }: KafkaSecurity): tls.TLSSocket {
  // The name on the certificate must be that of the broker, be it an address; servers are told only names.
  const socket = tls.connect({ socket: plain, host, ...files!(), ...(net.isIP(host) === 0 && { servername: host }) })
  plain.on('error', (error) => socket.destroy(error))
  const explain = (error: Error) => {
    // Nobody was there.
    if (plain.bytesWritten === 0 && plain.bytesRead === 0) return
    error.message = `no TLS with Kafka: ${error.message}; ${how}`
  }
  socket.once('error', explain)
  socket.once('secureConnect', () => socket.off('error', explain))
  return socket
}

/**
 * A listener with TLS answers what is not TLS with an alert, which kafkajs would take for the length of an answer, or with nothing. What is
 * told here is told before kafkajs hears of it.
 */
export function noticeTls(socket: net.Socket, how: string): void {
  const tell = (what: string) => socket.emit('error', new Error(`${what}; ${how}`))
  socket.once('data', (bytes) => {
    if (bytes[0] === TLS_ALERT && bytes[1] === TLS_MAJOR) tell('this listener of Kafka wants TLS')
  })
  socket.once('end', () => {
    if (socket.bytesRead === 0 && socket.bytesWritten > 0)
      tell('the connection ended without an answer, as one that wants TLS ends')
  })
}

const TLS_ALERT = 0x15
const TLS_MAJOR = 0x03

/**
 * For kafkajs. It would take the credentials once and keep them, so each connection is given a provider of its own; and it takes a refused
 * token for a good one, since the broker says so in an answer that it does not read.
 */
export function saslMechanism(sasl: Sasl, how: string, builtIn: BuiltIn): Mechanism {
  return {
    mechanism: sasl.mechanism,
    authenticationProvider: (args) => ({
      async authenticate() {
        try {
          if (sasl.mechanism === 'OAUTHBEARER') await bearToken(await sasl.token(), args)
          else await builtIn(sasl.mechanism)(sasl.user())(args).authenticate()
        } catch (error) {
          const reason = reasonOf(error).replace(/^SASL .* authentication failed: /, '')
          throw new kafkajs.KafkaJSNonRetriableError(
            `Kafka at ${args.host}:${args.port} does not let us in by ${sasl.mechanism}: ${reason}; ${how}`,
          )
        }
      },
    }),
  }
}

type BuiltIn = (
  mechanism: string,
) => (user: { username: string; password: string }) => (args: AuthenticationProviderArgs) => Authenticator

/** RFC 7628: the broker answers a good token with nothing, and another with a JSON that says why. */
async function bearToken(token: string, { saslAuthenticate }: AuthenticationProviderArgs): Promise<void> {
  const message = Buffer.from(`n,,\u0001auth=Bearer ${token}\u0001\u0001`)
  const sized = Buffer.alloc(4 + message.length)
  sized.writeInt32BE(message.length)
  message.copy(sized, 4)
  await saslAuthenticate<void>({
    request: { encode: () => sized },
    response: {
      decode: (bytes) => bytes,
      parse(bytes) {
        const answer = bytes.subarray(4).toString('utf8').trim()
        if (answer !== '') throw new Error(`the token is not good: ${answer}`)
      },
    },
  })
}
