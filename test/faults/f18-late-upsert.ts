import { cleanDocument } from '../../processors/clean-text.ts'
import { documents, vectors } from '../../schemas/topics.ts'
import { loadKeys } from '../load.ts'
import type { LoadEvent } from '../load-events.ts'
import { recordsOf } from '../topic-records.ts'
import { handled } from './handled.ts'
import type { Context, Row } from './row.ts'

/** Documents that are deleted, and made again, while records of what they were before come late: as a zombie may send them. */
export const lateUpsert: Row = {
  id: 'F18',
  title: 'delete, make again, and a late upsert of an old revision after each',
  sets: ['full'],
  async run({ platform, load, workers, healed, atRest, count, expect }) {
    await load.write(200)
    await atRest()
    const keys = [...loadKeys('acme', 'documents'), ...loadKeys('zenith', 'documents')].slice(20, 40)
    const producer = await platform.broker.producer()
    const late = async (): Promise<void> => {
      const records = (await recordsOf(platform, vectors)).filter(({ key }) => keys.includes(String(key)))
      const old = records.filter(({ value }) => value !== null).reverse()
      expect(old.length >= keys.length, 'there is no old revision to come late')
      await producer.send(old.map((record) => ({ ...record, key: String(record.key) })))
      count('late upserts', old.length)
      await handled(platform, workers, ['index-vectors'])
    }
    await load.send(keys.map((key) => version(platform, key, 'first')))
    await atRest()
    await load.send(
      keys.map(
        (key): LoadEvent => ({ door: 'documents', key, value: null, meant: { kind: 'deletion' }, misplaced: false }),
      ),
    )
    await atRest()
    await late()
    await load.send(keys.map((key) => version(platform, key, 'second')))
    await late()
    await atRest()
    await late()
    await healed()
    await producer.close()
  },
}

function version({ serde }: Context['platform'], key: string, word: string): LoadEvent {
  const text = `The ${word} version of ${key}. `.repeat(30)
  const document = cleanDocument({ text, contentType: null, title: word, url: null, language: null, attributes: {} })
  return {
    door: 'documents',
    key,
    value: serde.encode(documents, document),
    meant: { kind: 'document', document },
    misplaced: false,
  }
}
