import { bootstrap } from './bootstrap.js'

await bootstrap({ entry: 'infra/local/run-checks.ts', args: process.argv.slice(2), needsStack: false })
