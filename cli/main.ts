import { Command, CommanderError } from 'commander'
import { reasonOf } from '../streams/errors.ts'
import { audit } from './audit.ts'
import { connect } from './connect.ts'
import { dlq } from './dlq.ts'
import { doctor } from './doctor.ts'
import { epoch } from './epoch.ts'
import { erase } from './erase.ts'
import { ingest } from './ingest.ts'
import { keys } from './keys.ts'
import { models } from './models.ts'
import { publish } from './publish.ts'
import { quota } from './quota.ts'
import { rebuild } from './rebuild.ts'
import { search } from './search.ts'
import { status } from './status.ts'
import { topics } from './topics.ts'
import { up } from './up.ts'
import { watch } from './watch.ts'

/** The `freshet` command. Exit codes: 0 done, 1 failed, 2 wrong use. */
const program = new Command('freshet')
  .description('Documents in, always-fresh search out, on Kafka.')
  .version('0.1.0')
  .showHelpAfterError('(freshet help COMMAND shows how)')
  .exitOverride()
for (const command of [
  up(),
  ingest(),
  publish(),
  search(),
  watch(),
  status(),
  topics(),
  audit(),
  rebuild(),
  connect(),
  dlq(),
  erase(),
  keys(),
  models(),
  quota(),
  epoch(),
  doctor(),
])
  program.addCommand(command.copyInheritedSettings(program))
for (const command of program.commands) for (const each of command.commands) each.copyInheritedSettings(program)

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2)
  console.error(`freshet: ${reasonOf(error)}`)
  process.exitCode = 1
}
