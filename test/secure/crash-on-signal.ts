import { isMainThread } from 'node:worker_threads'

/** Loaded before a process of ours: at SIGUSR2 it has an error that nobody catches. */
if (isMainThread)
  process.on('SIGUSR2', () => {
    throw new Error('an error that nobody catches')
  })
