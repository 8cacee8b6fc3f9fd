import kafkajs from 'kafkajs'
import type { Topic } from '../../streams/topic.ts'
import type { Platform } from '../platform.ts'

/** What an operator can do to a topic, by mistake or on purpose. */

/** Sets these beside the settings of the catalogue; without any, those alone. */
export const configure = (platform: Platform, topic: Topic, settings: Readonly<Record<string, string>> = {}) =>
  withAdmin(platform, (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name: platform.topic(topic),
          configEntries: Object.entries({ ...topic.config, ...settings }).map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  )

/** How often the server looks for what can be compacted: a server of the row's own only. */
export const compactOften = (platform: Platform, everyMs: number) =>
  withAdmin(platform, (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.BROKER,
          // The one server that there is.
          name: '1',
          configEntries: [{ name: 'log.cleaner.backoff.ms', value: String(everyMs) }],
        },
      ],
    }),
  )

/** Removes everything before the offset, as retention does. The topic then has the settings of the catalogue. */
export async function cutBefore(
  platform: Platform,
  topic: Topic,
  cuts: readonly { partition: number; offset: number }[],
): Promise<void> {
  // Kafka removes nothing of a topic that is only compacted.
  await configure(platform, topic, { 'cleanup.policy': 'compact,delete', 'retention.ms': '-1' })
  await withAdmin(platform, async (admin) => {
    const name = platform.topic(topic)
    // kafkajs removes nothing of a topic that it has not asked for before.
    await admin.fetchTopicOffsets(name)
    await admin.deleteTopicRecords({
      topic: name,
      partitions: cuts.map(({ partition, offset }) => ({ partition, offset: String(offset) })),
    })
  })
  await configure(platform, topic)
}

async function withAdmin<T>({ urls }: Platform, work: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const admin = new kafkajs.Kafka({ brokers: [urls.kafka], logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}
