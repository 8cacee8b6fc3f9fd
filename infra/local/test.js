import { bootstrap } from './bootstrap.js'

await bootstrap({ entry: 'infra/local/run-tests.ts', args: process.argv.slice(2), needsStack: true })
