import { isIP } from 'node:net'

export interface Door {
  /** Of web pages elsewhere that may call. */
  readonly listed: readonly string[]
  /** The gateway itself ends TLS. */
  readonly tls: boolean
}

/** Whether a page of this origin may call at this `Host`: a listed one, or one that came from this door itself. */
export function mayCall(origin: string, host: string | undefined, { listed, tls }: Door): boolean {
  return listed.includes(origin) || isOwnPage(origin, host, tls)
}

/**
 * Its origin is what is asked. Anybody can make a name of their own point here, and serve a page under it: a name counts only where the
 * gateway's own certificate vouches for it. Behind a proxy that ends TLS, the public origin has to be listed.
 */
function isOwnPage(origin: string, host: string | undefined, tls: boolean): boolean {
  const scheme = tls ? 'https:' : 'http:'
  const own = host === undefined ? null : URL.parse(`${scheme}//${host}`)
  const page = URL.parse(origin)
  if (own === null || page === null || page.origin !== origin || page.origin !== own.origin) return false
  return tls || isAddress(own.hostname)
}

/** No name, or the one that no resolver is asked for. */
const isAddress = (hostname: string): boolean =>
  hostname === 'localhost' || isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0
