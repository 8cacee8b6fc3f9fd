import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setUp } from '../local/setup.ts'

/** Downloads embedding models, verified by their checksums, while the image is built: `node infra/docker/models.ts FOLDER NAME…`. */
const [, , toolsDir, ...models] = process.argv
if (toolsDir === undefined || models.length === 0) throw new Error('give a folder and the names of models')
const tools = setUp({
  toolsDir,
  models,
  tools: ['models'],
  logDir: mkdtempSync(join(tmpdir(), 'models-')),
  signal: new AbortController().signal,
  report: (event) => console.log(JSON.stringify(event)),
})
console.log(await tools.models)
