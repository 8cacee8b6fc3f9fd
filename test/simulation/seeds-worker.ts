import { parentPort } from 'node:worker_threads'
import { material } from './material.ts'
import { runSeeds } from './seeds.ts'

/** A thread that runs the rows of seeds that it is sent. */
const shared = await material()
parentPort!.on('message', async (row: Parameters<typeof runSeeds>[0]) => {
  parentPort!.postMessage(await runSeeds(row, shared))
})
