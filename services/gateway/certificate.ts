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
export function certificate(certPath: string, keyPath: string, lookMs = LOOK_MS): Certificate {
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
  const present = read()
  let last = present
  let again: NodeJS.Timeout | undefined
  return {
    present,
    follow(changed, refused) {
      /** The files of a new certificate do not come at one moment: what does not fit is looked at once more before it is told. */
      const look = (isLast: boolean) => {
        clearTimeout(again)
        try {
          const context = read()
          if (isSame(context, last)) return
          last = context
          changed(context)
        } catch (error) {
          if (isLast) refused(reasonOf(error))
          else again = setTimeout(() => look(true), lookMs).unref()
        }
      }
      for (const path of [certPath, keyPath]) watchFile(path, { interval: lookMs }, () => look(false))
    },
    close() {
      clearTimeout(again)
      for (const path of [certPath, keyPath]) unwatchFile(path)
    },
  }
}

const isSame = (a: SecureContextOptions, b: SecureContextOptions): boolean =>
  String(a.cert) === String(b.cert) && String(a.key) === String(b.key)

const LOOK_MS = 1_000
