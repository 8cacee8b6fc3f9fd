import { embedDocuments } from './embed-documents.ts'
import { indexVectors } from './index-vectors.ts'
import { ingestDocuments } from './ingest-documents.ts'

/** What happens to a document, in order. */
export const pipeline = [ingestDocuments, embedDocuments, indexVectors] as const
