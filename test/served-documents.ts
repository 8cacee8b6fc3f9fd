import { readPayload } from '../connectors/qdrant/points.ts'
import type { Platform } from './platform.ts'

/** What a search may show, for an oracle of what others hold: a line `key\ntitle\ntext` for each served chunk, so that what is served twice is there twice. */
export async function servedDocuments({ qdrant, collection }: Platform): Promise<string[]> {
  const manifests = new Map<string, string>()
  const chunks: Record<string, unknown>[] = []
  let offset: Parameters<typeof qdrant.points.scroll>[0]['offset']
  do {
    const page = await qdrant.points.scroll(
      {
        collectionName: collection,
        limit: 2_000,
        withPayload: { selectorOptions: { case: 'enable', value: true } },
        withVectors: { selectorOptions: { case: 'enable', value: false } },
        ...(offset && { offset }),
      },
      { timeoutMs: 20_000 },
    )
    for (const point of page.result) {
      const payload = readPayload(point.payload) as Record<string, unknown>
      if (payload.kind === 'chunk') chunks.push(payload)
      if (payload.kind === 'manifest' && payload.deleted !== true)
        manifests.set(String(payload.key), String(payload.content))
    }
    offset = page.nextPageOffset
  } while (offset !== undefined)
  return chunks
    .filter(({ key, fence }) => manifests.get(String(key)) === fence)
    .map(({ key, title, text }) => [key, title ?? '', text].join('\n'))
}
