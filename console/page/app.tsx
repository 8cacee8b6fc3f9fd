import { useCallback, useEffect, useState } from 'preact/hooks'
import { type Client, connect, FreshetError } from '../../client/client.ts'
import { Door } from './door.tsx'
import { KEY } from './session.ts'
import { Workbench } from './workbench.tsx'

/** Without a key, the door; with one, a connection that comes back by itself. */
export function App({ initialKey }: { initialKey: string | null }) {
  const [key, setKey] = useState(initialKey)
  const [client, setClient] = useState<Client | null>(null)
  const [fault, setFault] = useState<string | null>(null)
  const [attempt, setAttempt] = useState(0)

  const forget = useCallback((why: string | null) => {
    sessionStorage.removeItem(KEY)
    setClient(null)
    setKey(null)
    setFault(why)
  }, [])

  useEffect(() => {
    if (key === null) return
    const leaving = new AbortController()
    let opened: Client | null = null
    setFault(null)
    connect(`${location.origin.replace(/^http/, 'ws')}/v1/ws`, {
      apiKey: key,
      signal: leaving.signal,
      readYourWrites: true,
    })
      .then((made) => {
        if (leaving.signal.aborted) return made.close()
        opened = made
        setClient(made)
      })
      .catch((error: unknown) => {
        if (leaving.signal.aborted) return
        const why = error instanceof Error ? error.message : String(error)
        if (error instanceof FreshetError && error.code === 'unauthenticated') forget(why)
        else setFault(why)
      })
    return () => {
      leaving.abort()
      void opened?.close()
    }
  }, [key, attempt])

  const open = (given: string) => {
    sessionStorage.setItem(KEY, given)
    setKey(given)
  }

  return (
    <>
      <header class="top">
        <h1>
          <svg viewBox="0 0 32 20" width="32" height="20" aria-hidden="true">
            <path d="M2 6c4.7-5.3 9.3-5.3 14 0s9.3 5.3 14 0M2 15c4.7-5.3 9.3-5.3 14 0s9.3 5.3 14 0" />
          </svg>
          Freshet
        </h1>
        {client !== null && (
          <nav aria-label="On this page">
            <a class="jump" href="#document">
              Publish
            </a>
          </nav>
        )}
        {key !== null && (
          <button type="button" class="quiet" onClick={() => forget(null)}>
            Forget the key
          </button>
        )}
      </header>
      {key === null && <Door fault={fault} open={open} />}
      {key !== null && client !== null && <Workbench client={client} refused={forget} />}
      {key !== null && client === null && (
        <main class="door">
          {fault === null ? (
            <p role="status" class="soft">
              Connecting…
            </p>
          ) : (
            <div role="alert" class="notice bad">
              <p>Not connected: {fault}.</p>
              <button type="button" onClick={() => setAttempt(attempt + 1)}>
                Connect again
              </button>
            </div>
          )}
        </main>
      )}
    </>
  )
}
