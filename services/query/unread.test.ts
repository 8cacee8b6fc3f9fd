import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { virtualClock } from '../../streams/clock.ts'
import { type SlowReading, UNREAD_BYTES_MAX, UNREAD_MS_MAX, unreadBy } from './unread.ts'

/** A client that takes messages when it is told to. */
function client() {
  const clock = virtualClock()
  const cutOff: SlowReading[] = []
  const untaken: { bytes: number; done: () => void }[] = []
  const socket = {
    OPEN: 1 as const,
    readyState: 1 as 0 | 1 | 2 | 3,
    closedWith: null as number | null,
    sent: 0,
    get bufferedAmount() {
      return untaken.reduce((sum, { bytes }) => sum + bytes, 0)
    },
    send(text: string, done: () => void) {
      this.sent++
      untaken.push({ bytes: text.length, done })
    },
    close(code: number) {
      this.readyState = 2
      this.closedWith = code
    },
  }
  const unread = unreadBy(socket as unknown as Parameters<typeof unreadBy>[0], clock, (bound) => cutOff.push(bound))
  return {
    socket,
    cutOff,
    unread,
    clock,
    takeOne: () => untaken.shift()!.done(),
    async wait(ms: number) {
      for (let left = ms; left > 0; left -= 1_000) {
        clock.advance(1_000)
        await turn()
      }
    },
  }
}

const megabyte = 'x'.repeat(1024 * 1024)

test('a client that leaves more than the bound unread is cut off with 4510, and is sent nothing more', () => {
  const { socket, unread, cutOff } = client()

  for (let i = 0; i < UNREAD_BYTES_MAX / megabyte.length; i++) unread.send(megabyte)
  const atTheBound = socket.closedWith
  unread.send('one more')
  unread.send('and another')

  assert.equal(atTheBound, null)
  assert.deepEqual([socket.closedWith, cutOff], [4510, ['bytes']])
  assert.equal(socket.sent, 5)
})

test('a client that takes nothing of what waits for it is cut off with 4510 when the time is over, and not before', async () => {
  const { socket, unread, cutOff, wait } = client()
  unread.send('hello')

  await wait(UNREAD_MS_MAX - 1_000)
  const before = socket.closedWith
  await wait(1_000)

  assert.equal(before, null)
  assert.deepEqual([socket.closedWith, cutOff], [4510, ['seconds']])
})

test('a client that takes one message now and then is slow to the eye only', async () => {
  const { socket, unread, cutOff, takeOne, wait } = client()
  for (let i = 0; i < 8; i++) unread.send('hello')

  for (let i = 0; i < 6; i++) {
    await wait(UNREAD_MS_MAX - 1_000)
    takeOne()
  }

  assert.deepEqual([socket.closedWith, cutOff], [null, []])
})

test('a client that has taken everything may be silent for ever, and is watched again with the next message', async () => {
  const { socket, unread, cutOff, takeOne, wait, clock } = client()
  unread.send('hello')
  takeOne()

  await wait(10 * UNREAD_MS_MAX)
  const silent = { closedWith: socket.closedWith, nextAt: clock.nextAt }
  unread.send('hello again')
  await wait(UNREAD_MS_MAX)

  assert.deepEqual(silent, { closedWith: null, nextAt: null })
  assert.deepEqual([socket.closedWith, cutOff], [4510, ['seconds']])
})

test('a process that stood still does not hold that against its clients', async () => {
  const { socket, unread, takeOne, clock } = client()
  unread.send('hello')

  clock.advance(10 * UNREAD_MS_MAX)
  await turn()
  takeOne()

  assert.equal(socket.closedWith, null)
})

test('nobody is watched whose connection has ended', async () => {
  const { socket, unread, cutOff, wait, clock } = client()
  unread.send('hello')

  unread.end()
  await wait(2 * UNREAD_MS_MAX)

  assert.deepEqual([socket.closedWith, cutOff, clock.nextAt], [null, [], null])
})
