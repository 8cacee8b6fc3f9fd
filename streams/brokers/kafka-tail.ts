import type { Tail, TailOptions } from '../broker.ts'
import { Fatal } from '../errors.ts'
import type { KafkaOptions, Log } from './kafka-client.ts'
import { Fetcher } from './kafka-fetcher.ts'
import { Link } from './kafka-link.ts'
import { keyOf, logRanges } from './kafka-offsets.ts'

/** Reads whole topics without a group, so there is nothing to join, to commit or to leave behind. */
export async function tail(kafka: KafkaOptions & { readonly log: Log }, options: TailOptions): Promise<Tail> {
  const link = new Link(kafka, options.topics)
  const fetcher = new Fetcher({
    link,
    log: kafka.log,
    fetched: options.fetched,
    outOfRange: (at) => void outOfRange(at),
    failed(error) {
      close()
      options.failed(error)
    },
  })
  let closed = false

  const close = (): void => {
    closed = true
    fetcher.close()
    link.close()
  }

  /** Behind the start: retention was faster, go on from there. Beyond the end: it is another log, and nothing that was read of it holds. */
  const outOfRange = async (at: { topic: string; partition: number; offset: number }): Promise<void> => {
    try {
      const [range] = await link.use(`looking up ${keyOf(at)}`, (cluster) => logRanges(cluster, [at]))
      if (closed) return
      if (at.offset > range!.end)
        throw new Fatal(`${keyOf(at)} ends at ${range!.end}, but ${at.offset} was read before`)
      kafka.log('warn', 'records were deleted before they were read', { ...at, start: range!.start })
      fetcher.add({ ...at, offset: Math.max(at.offset, range!.start) }, { paused: false })
    } catch (error) {
      if (closed) return
      // Asked again from the same place, it comes back here.
      if (!(error instanceof Fatal)) return fetcher.add(at, { paused: false })
      close()
      options.failed(error)
    }
  }

  try {
    const ranges = await link.use(`reading ${options.topics.join(', ')}`, (cluster) => {
      const partitions = options.topics.flatMap((topic) =>
        cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partition: partitionId })),
      )
      return logRanges(cluster, partitions)
    })
    for (const { topic, partition, start, end } of ranges) {
      fetcher.add({ topic, partition, offset: options.from === 'start' ? start : end }, { paused: false })
    }
  } catch (error) {
    close()
    throw error
  }
  return { close: async () => close() }
}
