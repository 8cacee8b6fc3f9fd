import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { identityOf, lock, tryLock } from './lock.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a lock has one holder, and is free again when it is given back', () => {
  const path = join(folder, 'lock')

  const first = tryLock(path)
  const second = tryLock(path)
  first.release?.()
  const third = tryLock(path)

  assert.equal(second.holder, process.pid)
  assert.notEqual(third.release, undefined)
  third.release?.()
  assert.deepEqual(readdirSync(folder), [])
})

test('who waits for a lock is told who has it, and gets it next', async () => {
  const path = join(folder, 'lock')
  const { release } = tryLock(path)
  const holders: number[] = []

  const waiting = lock(path, (holder) => {
    holders.push(holder)
    release?.()
  })

  const releaseNext = await waiting
  assert.deepEqual(holders, [process.pid])
  releaseNext()
})

test('a lock whose process is gone is taken over, also when its pid is another process now', () => {
  const dead = join(folder, 'dead')
  const recycled = join(folder, 'recycled')
  const torn = join(folder, 'torn')
  writeFileSync(dead, JSON.stringify({ pid: 2 ** 22, identity: 'some boot/1' }))
  writeFileSync(recycled, JSON.stringify({ pid: process.pid, identity: 'some boot/1' }))
  writeFileSync(torn, '{"pid":')

  const taken = [dead, recycled, torn].map((path) => tryLock(path))

  assert.deepEqual(
    taken.map(({ holder }) => holder),
    [undefined, undefined, undefined],
  )
})

test('of many processes that break a stale lock at once, one at a time has it', async () => {
  const path = join(folder, 'lock')
  const inside = join(folder, 'inside')
  writeFileSync(path, JSON.stringify({ pid: 2 ** 22, identity: 'some boot/1' }))
  const script = `
    import { mkdirSync, rmdirSync } from 'node:fs'
    import { lock } from ${JSON.stringify(join(import.meta.dirname, 'lock.js'))}
    for (let round = 0; round < 3; round++) {
      const release = await lock(${JSON.stringify(path)})
      mkdirSync(${JSON.stringify(inside)})
      rmdirSync(${JSON.stringify(inside)})
      release()
    }`

  const children = Array.from({ length: 4 }, () => spawn(process.execPath, ['--input-type=module', '-e', script]))
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))

  assert.deepEqual(codes, [0, 0, 0, 0])
})

test('a process is told from a later one by when it began, and an ended one has no identity', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  await once(child, 'spawn')
  const alive = identityOf(child.pid!)

  child.kill('SIGKILL')
  await once(child, 'exit')

  assert.notEqual(alive, null)
  assert.notEqual(alive, identityOf(process.pid))
  assert.equal(identityOf(child.pid!), null)
})
