import type { DeclaredAttributes } from '../../search/attributes.ts'
import type { StoredRecord } from '../../streams/broker.ts'
import { Reject, reasonOf } from '../../streams/errors.ts'
import type { ForeignReader } from '../../streams/foreign.ts'
import type { Topic } from '../../streams/topic.ts'
import type { Mapping } from './declaration.ts'
import { type Made, mapSource } from './map-source.ts'

/** What a record would become. */
export type Previewed = { readonly partition: number; readonly offset: number } & (
  | ({ readonly is: 'made' } & Made)
  | { readonly is: 'rejected'; readonly reason: string }
)

/** As `ingest` would have it, and nothing is written. Rejects with `Retry` while the registry is away. */
export async function previewRecord(
  { key, value, headers, partition, offset }: StoredRecord,
  topic: Topic,
  mapping: Mapping,
  reader: ForeignReader,
  declared: DeclaredAttributes,
): Promise<Previewed> {
  const texts = Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString('utf8')]))
  try {
    const made = await mapSource({ keyBytes: key, value, headers: texts, topic }, mapping, reader, declared)
    return { partition, offset, is: 'made', ...made }
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    return { partition, offset, is: 'rejected', reason: reasonOf(error) }
  }
}
