import { bootstrap } from './bootstrap.js'

await bootstrap({ entry: 'test/faults/main.ts', args: process.argv.slice(2), needsStack: true })
