import { readFileSync } from 'node:fs'

/**
 * Opens the console with the key of whoever started the platform. A browser sends no server what comes after `#`. `isRead`: by somebody, and
 * not by a file that is kept, where the key is left out.
 */
export function consoleLink(gateway: string, credentialsPath: string, isRead: boolean): string {
  if (!isRead) return `${gateway}/console`
  const { apiKey } = JSON.parse(readFileSync(credentialsPath, 'utf8')) as { apiKey: string }
  return `${gateway}/console#key=${encodeURIComponent(apiKey)}`
}
