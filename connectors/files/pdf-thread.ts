import { parentPort, workerData } from 'node:worker_threads'
import { getDocumentProxy } from 'unpdf'
import type { PdfAnswer, PdfQuestion } from './pdf.ts'

/** Reads one PDF, and says what it found. */
async function read({ bytes, pagesMax, textCharsMax }: PdfQuestion): Promise<PdfAnswer> {
  try {
    const pdf = await getDocumentProxy(bytes)
    if (pdf.numPages > pagesMax) return { reason: `has ${pdf.numPages} pages, more than ${pagesMax}; split it` }
    const pages: string[] = []
    let size = 0
    for (let i = 1; i <= pdf.numPages && size <= textCharsMax; i++) {
      const page = await pdf.getPage(i)
      const { items } = await page.getTextContent()
      const text = items.map((item) => ('str' in item ? `${item.str}${item.hasEOL ? '\n' : ''}` : '')).join('')
      pages.push(text)
      size += text.length
      page.cleanup()
    }
    const { info } = await pdf.getMetadata()
    const { Title: title } = info as { Title?: unknown }
    return {
      text: pages.join('\n\n'),
      title: typeof title === 'string' && title.trim() !== '' ? title.trim().slice(0, 1_000) : null,
    }
  } catch (error) {
    const { name, message } = error as Error
    if (name === 'PasswordException') return { reason: 'is encrypted; save it without a password' }
    return { reason: `is no PDF that can be read (${message}); print it to a new PDF` }
  }
}

parentPort!.postMessage(await read(workerData as PdfQuestion))
