import assert from 'node:assert/strict'
import type { Platform, Role } from './platform.ts'
import { until } from './until.ts'

/** Runs the command, and kills it as soon as it says this. */
export async function killedAt(says: string, args: readonly string[], platform: Platform): Promise<void> {
  const command = platform.freshet(...args)
  let ended: string | null = null
  void command.ended.then((how) => (ended = how))
  await until(
    `${args.join(' ')} says ${says}`,
    () => {
      if (command.log().includes(says)) return true
      if (ended !== null) throw new Error(`it ${ended} before it said ${says}:\n${command.log()}`)
      return `last said: ${command.log().slice(-300)}`
    },
    STEP_MS_MAX,
  )
  await command.kill('SIGKILL')
}

/** The oldest of the workers is killed, and another one takes its place. */
export async function replaced(workers: Role[], platform: Platform): Promise<void> {
  await workers.shift()!.kill('SIGKILL')
  workers.push(await platform.worker())
}

export async function completes(platform: Platform, ...args: readonly string[]): Promise<void> {
  const command = platform.freshet(...args)
  assert.equal(await command.ended, 'ended with exit code 0', command.log())
}

/** Those of the platform that Qdrant has. */
export async function collectionsOf({ qdrant, scope }: Platform): Promise<string[]> {
  const { collections } = await qdrant.collections.list({}, { timeoutMs: 5_000 })
  return collections.map(({ name }) => name).filter((name) => name.startsWith(scope.prefix))
}

/** A machine that does other things too may need this long to begin and to come to the next step. */
const STEP_MS_MAX = 120_000
