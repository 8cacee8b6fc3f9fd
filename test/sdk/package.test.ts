import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { build } from '../../client/build.ts'
import { hitsOf, playService } from './played-service.ts'

/** The SDK as others install it: built, in a folder of somebody else's. */

const root = join(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'client/README.md'), 'utf8')
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code)

test('the package is small, imports nothing, and every example of its README compiles and runs with it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-sdk-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const installed = join(folder, 'node_modules/@freshet/client')
  mkdirSync(join(installed, 'dist'), { recursive: true })
  copyFileSync(join(root, 'client/package.json'), join(installed, 'package.json'))
  for (const name of ['ws', '@types']) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  const { files, bytes, gzipBytes } = await build(join(installed, 'dist'))
  const service = await playService(t)
  service.become(hitsOf('hello#0', 'returns#0'))
  service.intervene = ({ heard }, socket) => {
    if (heard?.k !== 1_000) return false
    socket.send(
      JSON.stringify({ type: 'error', id: heard.id, code: 'bad_request', message: 'k: is 1000', retryable: false }),
    )
    return true
  }

  const written = examples.map((code, i) => {
    const here = code.replaceAll('ws://127.0.0.1:18043/v1/ws', service.url)
    // Whoever gives tokens is not there.
    const example = join(folder, `example-${i}.ts`)
    writeFileSync(
      example,
      here.replace("await fetch('https://app.example/token', { method: 'POST' })", "new Response('a.jwt.x')"),
    )
    return example
  })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const options = [
    '--noEmit',
    '--strict',
    '--target',
    'es2022',
    '--module',
    'nodenext',
    '--types',
    'node',
    '--skipLibCheck',
  ]
  const compiled = await run([tsc, ...options, ...written], folder)
  const ran = await Promise.all(written.map((example) => run([example], folder)))

  assert.equal(compiled, 'exit code 0: ')
  for (const [i, said] of ran.entries()) assert.match(said, /^exit code 0: /, `example ${i + 1}:\n${said}`)
  assert.match(ran[0]!, /hello 2 hello#0/)
  assert.match(ran[1]!, /enter hello#0/)
  assert.match(ran.join(), /bad_request k: is 1000 not again/)
  assert.ok(examples.length >= 6 && files > 5)
  t.diagnostic(`${files} files, ${bytes} bytes, ${gzipBytes} with gzip`)
  assert.ok(gzipBytes <= GZIP_BYTES_MAX, `${gzipBytes} bytes with gzip; the README says ${GZIP_BYTES_MAX}`)
  const importing = readFileSync(join(installed, 'dist/client.js'), 'utf8').matchAll(/from '([^']+)'/g)
  assert.deepEqual(
    [...importing].filter(([, from]) => !from?.startsWith('./')),
    [],
  )
  const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { exports: { '.': object } }
  assert.deepEqual(
    Object.values(exports['.']).filter((path) => !existsSync(join(installed, String(path)))),
    [],
  )
})

/** As the README says. */
const GZIP_BYTES_MAX = 9_000

async function run(args: readonly string[], cwd: string): Promise<string> {
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, errors, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve) => child.once('exit', resolve)),
  ])
  return `exit code ${code}: ${out}${code === 0 ? '' : errors}`
}
