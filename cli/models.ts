import { Command } from 'commander'
import { modelsAdd } from './models-add.ts'
import { modelsList } from './models-list.ts'
import { modelsVerify } from './models-verify.ts'

export function models(): Command {
  return new Command('models')
    .description('The repository of models: what there is, what is added, whether it is what it was.')
    .addCommand(modelsList())
    .addCommand(modelsAdd())
    .addCommand(modelsVerify())
}
