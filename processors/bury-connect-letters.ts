import { connectDeadLetters, deadLetters } from '../schemas/topics.ts'
import { type DeadLetter, textOf } from '../streams/dead-letters.ts'
import { causeOf } from '../streams/java-trace.ts'
import { type Input, type Outcome, processor, put, type RejectClass } from '../streams/processor.ts'

/**
 * Brings what the sinks of Kafka Connect cannot take to `dead-letters`, as what it is there: refused by this connector, at this place of
 * its topic, for this reason. The same record again is the same letter.
 */
export const buryConnectLetters = processor({
  name: 'bury-connect-letters',
  from: [connectDeadLetters],
  to: [deadLetters],
  batch: { recordsMax: 100, bytesMax: 4 * 1024 * 1024 },
  onReject: 'nothing',
  async process({ records }) {
    return records.map(outcomeOf)
  },
})

function outcomeOf(input: Input): Outcome {
  const said = (name: string): string | undefined => input.headers[`__connect.errors.${name}`]
  const [topic, partition, offset] = [said('topic'), Number(said('partition')), Number(said('offset'))]
  if (topic === undefined || !Number.isSafeInteger(partition) || !Number.isSafeInteger(offset))
    return {
      reject:
        'headers: do not say where the record lay; set errors.deadletterqueue.context.headers.enable to true in the connector, and let nobody else write here',
      class: 'content',
    }
  const stage = `connect/${said('connector.name') ?? 'unknown'}`
  const key = input.keyBytes ?? null
  const headers = Object.entries(input.headers).filter(([name]) => !name.startsWith('__connect.errors.'))
  const letter: DeadLetter = {
    stage,
    class: classOf(said('stage')),
    reason: reasonOf(said('exception.message'), said('exception.stacktrace')).slice(0, REASON_CHARS_MAX),
    topic,
    topicId: '',
    partition,
    offset,
    timestamp: input.timestamp,
    key,
    value: input.value as Buffer | null,
    headers: Object.fromEntries(headers.map(([name, text]) => [name, Buffer.from(text)])),
  }
  const name = textOf(key) ?? `${topic}/${partition}/${offset}`
  return { publish: [put(deadLetters, name, letter, { stage, class: letter.class })] }
}

const classOf = (stage: string | undefined): RejectClass =>
  stage === 'KEY_CONVERTER' ? 'key' : stage === 'VALUE_CONVERTER' || stage === 'HEADER_CONVERTER' ? 'schema' : 'content'

/** What failed, and why where that says more. */
function reasonOf(message = '', trace = ''): string {
  const cause = trace === '' ? '' : causeOf(trace)
  const what = message === 'null' ? '' : message
  if (what === '') return cause || 'Connect does not say why'
  return cause === '' || cause.includes(what) ? cause || what : `${what}: ${cause}`
}

const REASON_CHARS_MAX = 2_000
