import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { reasonOf } from '../../streams/errors.ts'
import { checkSources } from './check-sources.ts'
import { repositoryDir } from './settings.ts'

/** What `npm run check` runs, in under a minute and without a stack: format, lint, types, direction of imports, and the tests that need nothing. */
try {
  console.log(await checkSources())
  const files = globSync('**/*.test.ts', {
    cwd: repositoryDir,
    exclude: (path) => path === 'node_modules' || path.startsWith('.'),
  })
  const plain = files.filter((path) => !/\.(kafka|browser)\.test\.ts$/.test(path)).sort()
  const child = spawn(process.execPath, ['--test', ...plain], {
    cwd: repositoryDir,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code] = await once(child, 'close')
  process.exitCode = code ?? 1
} catch (error) {
  console.error(reasonOf(error))
  process.exitCode = 1
}
