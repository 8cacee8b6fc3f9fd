import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, stop } from 'esbuild'

/** One file of the page, as it is served. */
export interface PageFile {
  readonly path: string
  readonly type: string
  readonly etag: string
  readonly body: Buffer
}

/** The console, made of its sources in memory: nothing generated lies anywhere, so nothing is ever stale. */
export async function bundleConsole(): Promise<readonly PageFile[]> {
  const { outputFiles } = await build({
    entryPoints: [join(pageDir, 'main.tsx')],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'silent',
  })
  // Its process would stay beside ours.
  await stop()
  const read = (name: string) => readFileSync(join(pageDir, name))
  return [
    pageFile('/console', 'text/html; charset=utf-8', read('index.html')),
    pageFile('/console/page.css', 'text/css; charset=utf-8', read('page.css')),
    pageFile('/console/page.js', 'text/javascript; charset=utf-8', Buffer.from(outputFiles[0]!.contents)),
  ]
}

const pageDir = join(import.meta.dirname, 'page')

function pageFile(path: string, type: string, body: Buffer): PageFile {
  return { path, type, body, etag: `"${createHash('sha256').update(body).digest('base64url')}"` }
}
