import { readFileSync, unwatchFile, watchFile } from 'node:fs'
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
export function certificate(certPath: string, keyPath: string): Certificate {
  const read = (): SecureContextOptions => {
    try {
      const context = { cert: readFileSync(certPath), key: readFileSync(keyPath), minVersion: 'TLSv1.2' as const }
      createSecureContext(context)
      return context
    } catch (cause) {
      throw new Fatal(
        `tlsCert ${certPath} and tlsKey ${keyPath} are not a certificate and its key: ${reasonOf(cause)}`,
        {
          cause,
        },
      )
    }
  }
  return {
    present: read(),
    follow(changed, refused) {
      const look = () => {
        try {
          changed(read())
        } catch (error) {
          refused(reasonOf(error))
        }
      }
      for (const path of [certPath, keyPath]) watchFile(path, { interval: LOOK_MS }, look)
    },
    close() {
      for (const path of [certPath, keyPath]) unwatchFile(path)
    },
  }
}

const LOOK_MS = 1_000
