import { existsSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects what nobody holds as soon as the file is there, and as long as it is: in a process that is idle, or starved, V8 does so late. */
const file = process.env.TEST_COLLECT_FILE!
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
setInterval(() => {
  if (existsSync(file)) collect()
}, 2_000).unref()
