import { request } from 'node:https'

/** Rejects unless the address answers with success. */
export async function requireOk(url: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(url, { signal })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`${url} answers ${response.status}`)
}

/** The same over TLS, where the certificate is signed by this one, PEM. */
export function requireOkOverTls(url: string, ca: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const asked = request(url, { ca, signal, agent: false }, ({ statusCode = 0, resume }) => {
    if (statusCode >= 200 && statusCode < 300) resolve()
    else reject(new Error(`${url} answers ${statusCode}`))
    asked.destroy()
    void resume
  })
  asked.on('error', reject)
  asked.end()
  return promise
}
