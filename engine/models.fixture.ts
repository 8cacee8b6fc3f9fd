import { join, resolve } from 'node:path'

/** Where the local set-up puts the models; for the tests that need them. */
const { FRESHET_TOOLS, FRESHET_DATA = '.freshet' } = process.env
export const modelsDir = resolve(FRESHET_TOOLS ?? join(FRESHET_DATA, 'tools'), 'models')
