import tls from 'node:tls'

/** From now on this process trusts these certificates (PEM) too: Qdrant's client takes none of its own. */
export function trust(ca: string): void {
  const trusted = tls.getCACertificates('default')
  if (!trusted.includes(ca)) tls.setDefaultCACertificates([...trusted, ca])
}
