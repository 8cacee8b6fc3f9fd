import { Command } from 'commander'
import { dlqDiscard } from './dlq-discard.ts'
import { dlqList } from './dlq-list.ts'
import { dlqReplay } from './dlq-replay.ts'
import { dlqShow } from './dlq-show.ts'

export function dlq(): Command {
  const command = new Command('dlq').description(
    'Dead letters: what can never succeed as it is, and what to do with it.',
  )
  for (const each of [dlqList(), dlqShow(), dlqReplay(), dlqDiscard()]) command.addCommand(each)
  return command
}
