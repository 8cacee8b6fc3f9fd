#!/usr/bin/env node
import { bootstrap } from '../infra/local/bootstrap.js'

const args = process.argv.slice(2)
await bootstrap({ entry: 'cli/main.ts', args, needsStack: args[0] === 'up' })
