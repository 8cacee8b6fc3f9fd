import { writeFileSync } from 'node:fs'
import { Command } from 'commander'
import { entryOf, stateOf } from '../maintenance/dead-letters.ts'
import { decisionKey } from '../maintenance/letter-decisions.ts'
import { readLetter } from '../maintenance/read-letters.ts'
import { type Readable, readable } from '../maintenance/readable.ts'
import { decideAll } from '../maintenance/replay.ts'
import { inWords, soundKey } from '../maintenance/replay-decision.ts'
import { fenceText } from '../processors/fence.ts'
import { reasonOf } from '../streams/errors.ts'
import { iso, lettersNow, plain } from './dlq-letters.ts'
import { type Operator, withOperator } from './operator.ts'

export function dlqShow(): Command {
  return new Command('show')
    .description('Shows one dead letter: its record decoded as far as possible, the fix, and what a replay would do.')
    .argument('<id>', 'its id, or the beginning of it')
    .option('--raw <file>', 'writes the untouched bytes of the value to a file')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet dlq show 3fa9c1d2')
    .action(async (id: string, { raw, json }: { raw?: string; json?: true }) => {
      const { shown, value } = await withOperator((operator) => show(id, operator))
      if (raw !== undefined) writeFileSync(raw, value ?? '')
      if (json) console.log(JSON.stringify(shown, null, 2))
      else print(shown)
      if (raw !== undefined) console.error(`${value?.length ?? 0} bytes written to ${raw}`)
    })
}

async function show(prefix: string, operator: Operator) {
  const { entries } = await lettersNow(operator)
  const entry = entryOf(entries, prefix)
  const letter = await readLetter(operator, entry.latest.at)
  const key = soundKey(entry)
  const decided = operator.control.get(decisionKey(entry.id))?.deadLetter ?? null
  const looked = await decideAll([entry], operator).catch(reasonOf)
  const known = typeof looked === 'string' || key === null ? undefined : looked.looked.known.get(key)
  const { topic, partition, offset } = entry.latest
  const shown = {
    ...plain({ entry, ...stateOf(entry, decided, known) }),
    place: `${topic} ${partition}/${offset}`,
    key: keyOf(letter.key),
    headers: Object.fromEntries(
      Object.entries(letter.headers).map(([name, bytes]) => [name, keyOf(bytes)?.slice(0, HEADER_CHARS_MAX) ?? '']),
    ),
    value: await readable(letter.value, operator.registry),
    documents:
      known?.latest == null ? null : { ...known.latest, time: iso(known.latest.timestamp), timestamp: undefined },
    index:
      known?.manifest == null
        ? null
        : {
            collection: operator.index.collection,
            fence: fenceText(known.manifest.fence),
            content: known.manifest.content === null ? null : fenceText(known.manifest.content),
            deleted: known.manifest.deleted,
            rejected: known.manifest.rejected,
            chunks: known.manifest.chunks,
          },
    replay: typeof looked === 'string' ? `not known: ${looked}` : inWords(looked.decisions[0]!),
  }
  return { shown, value: letter.value }
}

const HEADER_CHARS_MAX = 500

/** Text as it is, else hex. */
function keyOf(bytes: Buffer | null): string | null {
  if (bytes === null) return null
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : `0x${bytes.toString('hex')}`
}

type Shown = Awaited<ReturnType<typeof show>>['shown'] & {
  id?: string
  state?: string
  why?: string
  stage?: string
  class?: string
  reason?: string
  count?: number
  first?: string
  last?: string
  origin?: { topic: string; partition: number; offset: number; time: string }
}

function print(shown: Shown): void {
  const { id, state, why, stage, reason, count, first, last, origin, place, key, headers, value, documents } = shown
  const { index, replay } = shown
  console.log(`${id}  ${state}${why ? `: ${why}` : ''}`)
  console.log(`reason     ${reason}`)
  console.log(`class      ${shown.class}, refused by ${stage}`)
  console.log(`refused    ${count === 1 ? last : `${count} times, first ${first}, last ${last}`}`)
  console.log(`origin     ${origin!.topic} ${origin!.partition}/${origin!.offset}, written ${origin!.time}`)
  if (count! > 1) console.log(`last one   ${place}`)
  console.log(`key        ${key ?? 'none'}`)
  for (const [name, text] of Object.entries(headers)) console.log(`header     ${name}: ${text}`)
  console.log(`value      ${valueText(value).replaceAll('\n', '\n           ')}`)
  console.log(
    `documents  ${documents === null ? 'no record of this key' : `${documents.partition}/${documents.offset}, ${documents.deletes ? 'deletes it' : 'a document'}, written ${documents.time}`}`,
  )
  console.log(
    `index      ${index === null ? 'nothing of this key' : `${index.rejected !== null ? 'rejected' : index.deleted ? 'deleted' : `${index.chunks} chunks`} at ${index.fence} in ${index.collection}`}`,
  )
  console.log(`replay     ${replay}`)
}

function valueText(value: Readable): string {
  if (value.as === 'nothing') return 'null (a deletion)'
  const { bytes } = value
  if (value.as === 'avro') {
    return `${bytes} bytes, schema ${value.schemaId} (${value.schema})\n${JSON.stringify(value.value, null, 2)}`
  }
  const note = value.note === null ? '' : `; ${value.note}`
  if (value.as === 'text') return `${bytes} bytes of text${note}\n${value.text}`
  const lines = value.hex.match(/.{1,64}/g) ?? []
  return [`${bytes} bytes, which are neither Avro of a known schema nor text${note}`, ...lines].join('\n')
}
