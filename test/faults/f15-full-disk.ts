import { indexVectors } from '../../processors/index-vectors.ts'
import { vectors } from '../../schemas/topics.ts'
import { groupOf } from '../../streams/runner.ts'
import type { Load } from '../load.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'
import { noSmallDisk } from './small-disk.ts'
import { healthOf, shown } from './worker-states.ts'

const recordsPerSecond = 40
/** Less than the workers have under way at once. */
const BACKLOG_RECORDS = 200
/** Until a server that finds no room says so, or ends. */
const NOTICED_MS_MAX = 120_000

/** Nothing is acknowledged that has no room; everybody says so; and it goes on when there is room. */
export const fullDiskOfKafka: Row = {
  id: 'F15',
  title: 'the disk under Kafka is full',
  sets: ['full'],
  needs: { stack: 'own', smallDisk: { under: 'stack', mebibytes: 512 } },
  cannot: noSmallDisk,
  async run({ load, workers, queries, stack, disk, healed, atRest, count, expect }) {
    await load.write(200)
    await atRest()
    let ended: Error | null = null
    void stack.stack.failed.then((reason) => {
      ended = reason
    })
    // The workers have work in their hands when there is no room for what comes of it.
    for (const worker of workers) await worker.kill('SIGSTOP')
    await load.write(BACKLOG_RECORDS)
    disk.fill()
    for (const worker of workers) await worker.kill('SIGCONT')
    const refused = new Set<string>()
    await until(
      'work of a stage is refused',
      async () => {
        for (const { states } of await Promise.all(workers.map(healthOf)))
          for (const { name, subject } of states)
            if (name === 'kafka-unreachable' && subject.includes(' on ')) refused.add(subject)
        return refused.size > 0
      },
      NOTICED_MS_MAX,
    )
    count('tasks whose work was refused', refused.size)
    const flow = load.flow(recordsPerSecond)
    // It can write into none of its folders, so it gives up; the local stack then ends as a whole.
    await until('Kafka ends', () => ended !== null, NOTICED_MS_MAX)
    expect(/kafka/.test(String(ended)), `it was not Kafka that ended: ${String(ended).slice(0, 200)}`)
    const acknowledged = acknowledgedBy(load)
    count('roles that said so', (await shown([...workers, ...queries], 'kafka-unreachable')).length)
    expect(acknowledgedBy(load) === acknowledged, 'records were acknowledged while Kafka was not there')

    disk.free()
    await stack.restart()
    await healed()
    await until('producers go on', () => acknowledgedBy(load) > acknowledged, 60_000)
    await flow.stop()
    count('records acknowledged', acknowledgedBy(load))
    count('records in doubt', load.sent.length - acknowledgedBy(load))
  },
}

/** Nothing is committed that the index has no room for. */
export const fullDiskOfQdrant: Row = {
  id: 'F15q',
  title: 'the disk under Qdrant is full',
  sets: ['full'],
  needs: { qdrant: 'own', smallDisk: { under: 'qdrant', mebibytes: 256 } },
  cannot: noSmallDisk,
  async run(context) {
    const { load, workers, qdrant, disk, healed, atRest, count, expect, say } = context
    await load.write(200)
    await atRest()
    const flow = load.flow(recordsPerSecond)
    disk.fill()
    const subjects = await shown(workers, 'index-unreachable', { msMax: NOTICED_MS_MAX })
    say(`it is said by ${subjects.join(', ')}; Qdrant ${qdrant.runs() ? 'runs' : 'has ended'}`)
    count('tasks that said so', subjects.length)
    const committed = await committedIn(context)
    const sent = load.sent.length
    await until('more is sent', () => load.sent.length >= sent + MORE_RECORDS, NOTICED_MS_MAX)
    await flow.stop()
    const meanwhile = (await committedIn(context)) - committed
    expect(meanwhile <= IN_FLIGHT_MAX, `${meanwhile} offsets were committed while the index took nothing`)

    disk.free()
    // Whoever runs it starts again what has ended.
    if (!qdrant.runs()) {
      count('times Qdrant ended by itself')
      await qdrant.start()
    }
    await healed()
  },
}

/** More than may be committed of what was under way when the state began to show. */
const MORE_RECORDS = 400
const IN_FLIGHT_MAX = 128

const committedIn = async ({ platform: { broker, scope, topic } }: Context): Promise<number> =>
  (await broker.admin.committed(groupOf(scope, indexVectors), topic(vectors))).reduce(
    (sum, { offset }) => sum + offset,
    0,
  )

const acknowledgedBy = ({ sent }: Load): number => sent.filter(({ offset }) => offset !== null).length
