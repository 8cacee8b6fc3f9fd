import { Command } from 'commander'
import { modelsAdd } from './models-add.ts'
import { modelsCompare } from './models-compare.ts'
import { modelsList } from './models-list.ts'
import { rolloutCommands } from './models-rollout.ts'
import { modelsStatus } from './models-status.ts'
import { modelsVerify } from './models-verify.ts'

export function models(): Command {
  const command = new Command('models')
    .description('The models: what there is, what is added and verified, and which one answers.')
    .addCommand(modelsList())
    .addCommand(modelsAdd())
    .addCommand(modelsVerify())
    .addCommand(modelsStatus())
    .addCommand(modelsCompare())
  for (const each of rolloutCommands()) command.addCommand(each)
  return command
}
