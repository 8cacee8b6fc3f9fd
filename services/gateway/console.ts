import type { FastifyInstance } from 'fastify'
import type { PageFile } from '../../console/bundle.ts'
import { CONSOLE_PATHS } from './routes.ts'

/** The page for people. It holds nothing of anybody: what it shows, it asks for with the key of whoever sits before it. */
export function serveConsole(app: FastifyInstance, files: readonly PageFile[]): void {
  for (const path of CONSOLE_PATHS) {
    const file = files.find((each) => each.path === path)
    if (file === undefined) throw new Error(`${path} is declared in routes.ts, and the console has no such file`)
    app.get(path, async (request, reply) => {
      reply.headers({ ...HEADERS, etag: file.etag })
      const known = (request.headers['if-none-match'] ?? '').split(',').map((each) => each.trim().replace(/^W\//, ''))
      if (known.includes(file.etag)) return reply.code(304).send()
      return reply.header('content-type', file.type).send(file.body)
    })
  }
}

/** Everything comes from this door, no script and no style is in the page itself, and nobody may frame it. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // Asked again each time, and answered 304: after an update no page is made of two versions.
  'cache-control': 'no-cache',
} as const
