import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Distance } from '@qdrant/js-client-grpc'
import { defaultModel } from '../../engine/repository/catalogue.ts'
import { folderOf } from '../../engine/repository/repository.ts'
import { localSettings, repositoryDir } from '../../infra/local/settings.ts'
import { firstCollection } from '../../processors/collections.ts'
import { freePort, startProcess } from '../process.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'

/** A worker with a model that is not the model never serves; those that run go on. */
export const badModel: Row = {
  id: 'F25',
  title: 'model file corrupt, truncated, of another model, missing; collection of other dimensions',
  sets: ['full'],
  needs: { engine: 'model' },
  async run(context) {
    const { platform, load, healed, atRest, count, expect, say } = context
    await load.write(60)
    await atRest()
    const before = await everything(context)
    for (const [what, { spoil, says }] of Object.entries(faults)) {
      const home = mkdtempSync(join(tmpdir(), 'freshet-model-'))
      try {
        cpSync(join(localSettings(process.env).toolsDir, 'models'), home, { recursive: true })
        spoil(folderOf(home, { name: defaultModel, version: 1 }))
        const [said] = await Promise.all([refusal(context, { FRESHET_MODELS_DIR: home }), load.write(15)])
        say(`${what}: ${said.slice(0, 160)}`)
        expect(says.test(said), `with ${what} the worker said: ${said.slice(-400)}`)
        count('workers refused')
      } finally {
        rmSync(home, { recursive: true })
      }
    }
    const said = await withOtherDimensions(context)
    expect(
      /does not hold vectors of .*384 dimensions/.test(said),
      `with other dimensions the worker said: ${said.slice(-400)}`,
    )
    count('workers refused')

    await healed()
    const after = await everything(context)
    expect(after === before, `there are topics or collections more: ${after}, and before: ${before}`)
    expect(platform.engine.space.dimensions === 384, 'this is not the model that the row was written for')
  },
}

const faults: Readonly<Record<string, { spoil(folder: string): void; says: RegExp }>> = {
  'a corrupt model file': {
    spoil(folder) {
      const bytes = readFileSync(join(folder, 'model.onnx'))
      // One bit of a weight: it would load, and give other vectors.
      const at = bytes.length >> 1
      bytes[at] = bytes[at]! ^ 1
      writeFileSync(join(folder, 'model.onnx'), bytes)
    },
    says: /model\.onnx is not the file of the model .* expected sha256/,
  },
  'a truncated model file': {
    spoil: (folder) => truncateSync(join(folder, 'model.onnx'), 1_000_000),
    says: /model\.onnx is not the file of the model/,
  },
  'the vocabulary of another model': {
    spoil(folder) {
      const path = join(folder, 'tokenizer.json')
      writeFileSync(path, readFileSync(path, 'utf8').replace('"the"', '"eht"'))
    },
    says: /tokenizer\.json is not the file of the model/,
  },
  'no model file': {
    spoil: (folder) => rmSync(join(folder, 'model.onnx')),
    says: /cannot read .*model\.onnx/,
  },
}

/** What it says instead of becoming ready: of its model, as a state, or why it ends. */
async function refusal({ platform }: Context, env: Readonly<Record<string, string>>): Promise<string> {
  const port = String(await freePort())
  await using worker = startProcess('refused worker', process.execPath, ['services/main.ts', 'worker'], {
    cwd: repositoryDir,
    env: { ...platform.env, ...env, FRESHET_WORKER_PORT: port },
  })
  let said: string | null = null
  const ended = worker.ended.then((how) => {
    said = `${how}: ${worker.log()}`
  })
  const look = async (): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(2_000) })
    const { states = [] } = (await response.json()) as { states?: { name: string; detail: string }[] }
    if (response.ok) said = 'ready'
    else said ??= states.find(({ name }) => name === 'model-unavailable')?.detail ?? null
  }
  await until(
    'the worker is ready, refuses, or ends',
    async () => {
      if (said === null) await look().catch(() => {})
      return said !== null
    },
    60_000,
  )
  await worker.kill('SIGTERM')
  await ended
  return said!
}

/** Under another prefix, so that the collection that is served stays as it is. */
async function withOtherDimensions(context: Context): Promise<string> {
  const { scope, qdrant } = context.platform
  const prefix = `${scope.prefix}dimensions.`
  const collectionName = firstCollection({ ...scope, prefix })
  const map = { [scope.space]: { size: 8n, distance: Distance.Dot } }
  await qdrant.collections.create({ collectionName, vectorsConfig: { config: { case: 'paramsMap', value: { map } } } })
  try {
    const said = await refusal(context, { FRESHET_TOPIC_PREFIX: prefix })
    const { result } = await qdrant.points.count({ collectionName, exact: true })
    return Number(result?.count) === 0 ? said : `${result?.count} points were written`
  } finally {
    await qdrant.collections.delete({ collectionName })
  }
}

/** The names of what is there. Topics of the other prefix are made before the collection is looked at, and hold nothing. */
async function everything({ platform: { broker, qdrant, scope } }: Context): Promise<string> {
  const topics = (await broker.admin.topics()).map(({ name }) => name)
  const { collections } = await qdrant.collections.list({})
  return [...topics, ...collections.map(({ name }) => name)]
    .filter((name) => name.startsWith(scope.prefix) && !name.startsWith(`${scope.prefix}dimensions.`))
    .sort()
    .join(' ')
}
