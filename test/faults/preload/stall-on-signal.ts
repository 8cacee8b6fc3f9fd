import { isMainThread } from 'node:worker_threads'

/** Loaded before a process of ours: at SIGUSR2 its event loop stands still for TEST_STALL_MS. */
if (isMainThread) {
  const stallMs = Number(process.env.TEST_STALL_MS ?? 0)
  process.on('SIGUSR2', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs))
}
