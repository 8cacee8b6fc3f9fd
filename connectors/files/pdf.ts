import { basename, extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { FoundDocument } from './read.ts'

/** What the thread is asked, and what it says. */
export interface PdfQuestion {
  readonly bytes: Uint8Array
  readonly pagesMax: number
  readonly textCharsMax: number
}
export type PdfAnswer = { readonly text: string; readonly title: string | null } | { readonly reason: string }

const PAGES_MAX = 2_000
/** Above what a document may have, so that its real size is said. */
const TEXT_CHARS_MAX = 8 * 1024 * 1024
const MS_MAX = 60_000
const HEAP_MIB_MAX = 512

/**
 * The text of a PDF, page by page; a page of pictures has none. It is read in a thread of its own, which is ended when it takes too long or too much memory:
 * a PDF is a program, and nobody knows who wrote it.
 */
export async function readPdf(
  bytes: Buffer,
  path: string,
  { msMax = MS_MAX, pagesMax = PAGES_MAX }: { readonly msMax?: number; readonly pagesMax?: number } = {},
): Promise<FoundDocument | { readonly reason: string }> {
  const question: PdfQuestion = { bytes: new Uint8Array(bytes), pagesMax, textCharsMax: TEXT_CHARS_MAX }
  const answer = await inThread(question, msMax)
  if ('reason' in answer) return answer
  if (!/[\p{L}\p{N}]/u.test(answer.text))
    return { reason: 'has no text, perhaps pictures of pages; recognise their text first' }
  return { text: answer.text, title: answer.title ?? basename(path, extname(path)) }
}

function inThread(question: PdfQuestion, msMax: number): Promise<PdfAnswer> {
  const worker = new Worker(new URL('./pdf-thread.ts', import.meta.url), {
    workerData: question,
    transferList: [question.bytes.buffer as ArrayBuffer],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    // Complaints about fonts.
    stdout: true,
    stderr: true,
  })
  return new Promise<PdfAnswer>((resolve) => {
    const timer = setTimeout(
      () => resolve({ reason: `takes more than ${msMax / 1_000} s to read; print it to a new PDF` }),
      msMax,
    )
    worker.once('message', resolve)
    worker.once('error', (error) =>
      resolve({ reason: `is no PDF that can be read (${error.message}); print it to a new PDF` }),
    )
    worker.once('exit', () => resolve({ reason: 'is no PDF that can be read; print it to a new PDF' }))
    void worker.once('message', () => clearTimeout(timer)).once('exit', () => clearTimeout(timer))
  }).finally(() => worker.terminate())
}
