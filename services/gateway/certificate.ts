import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { Fatal, reasonOf } from '../../streams/errors.ts'

export interface Certificate {
  /** Throws `Fatal` for files that are no certificate and key. */
  readonly present: SecureContextOptions
  /** Calls when the files have changed and are good; says so when they are not, and the former stays. */
  follow(changed: (context: SecureContextOptions) => void, refused: (reason: string) => void): void
  close(): void
}

/** A certificate that is renewed while the gateway runs. */
export function certificate(certPath: string, keyPath: string, lookMs = LOOK_MS): Certificate {
  const load = () => ({ cert: readFileSync(certPath), key: readFileSync(keyPath), minVersion: 'TLSv1.2' as const })
  const read = (): Loaded => {
    try {
      const context = load()
      createSecureContext(context)
      return context
    } catch (cause) {
      throw new Fatal(
        `tlsCert ${certPath} and tlsKey ${keyPath} are not a certificate and its key: ${reasonOf(cause)}`,
        { cause },
      )
    }
  }
  const contents = (): string => {
    try {
      const { cert, key } = load()
      return `${cert}\n${key}`
    } catch (error) {
      return reasonOf(error)
    }
  }
  const present = read()
  let timer: NodeJS.Timeout | undefined
  return {
    present,
    follow(changed, refused) {
      let inForce = present
      /** What was taken or refused last, and what did not fit when it was looked at first. */
      let settled = `${present.cert}\n${present.key}`
      let unfit: string | null = null
      const look = (): void => {
        const now = contents()
        if (now === settled) return
        try {
          const context = read()
          settled = now
          if (String(context.cert) === String(inForce.cert) && String(context.key) === String(inForce.key)) return
          inForce = context
          changed(context)
        } catch (error) {
          // The files of a new certificate do not come at one moment: what does not fit is looked at once more before it is told.
          if (unfit !== now) unfit = now
          else {
            settled = now
            refused(reasonOf(error))
          }
        }
      }
      timer = setInterval(look, lookMs).unref()
    },
    close: () => clearInterval(timer),
  }
}

interface Loaded {
  readonly cert: Buffer
  readonly key: Buffer
  readonly minVersion: 'TLSv1.2'
}

const LOOK_MS = 1_000
