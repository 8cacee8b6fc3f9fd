/** Documents done, rate and time left: on a terminal one line that changes, else a line now and then. */
export interface IngestProgress {
  /** Input of so many bytes is done: in the index, or not worth publishing. */
  done(bytes: number, documents: number): void
  close(): void
}

export function ingestProgress(
  out: NodeJS.WriteStream,
  /** null: nobody knows how much comes. */
  bytesTotal: number | null,
  now: () => number = Date.now,
): IngestProgress {
  const began = now()
  let bytes = 0
  let documents = 0
  let drawnAt = began
  const draw = (last: boolean) => {
    const at = now()
    if (!last && at - drawnAt < (out.isTTY ? TERMINAL_EVERY_MS : LOG_EVERY_MS)) return
    drawnAt = at
    const line = progressLine({ bytes, bytesTotal, documents, ms: at - began, last })
    out.write(out.isTTY ? `\r\x1b[2K${line}${last ? '\n' : ''}` : `${line}\n`)
  }
  return {
    done(moreBytes, moreDocuments) {
      bytes += moreBytes
      documents += moreDocuments
      draw(false)
    },
    close() {
      if (documents > 0) draw(true)
    },
  }
}

const TERMINAL_EVERY_MS = 200
const LOG_EVERY_MS = 5_000

export function progressLine({
  bytes,
  bytesTotal,
  documents,
  ms,
  last,
}: {
  bytes: number
  bytesTotal: number | null
  documents: number
  ms: number
  last: boolean
}): string {
  const rate = ms > 0 ? documents / (ms / 1_000) : 0
  if (bytesTotal === null)
    return `${documents} documents indexed, ${rate.toFixed(rate < 10 ? 1 : 0)}/s${last ? `, ${duration(ms)}` : ''}`
  const share = bytesTotal > 0 ? Math.min(1, bytes / bytesTotal) : 1
  const percent = last ? 100 : Math.floor(share * 100)
  const left = share > 0.02 && !last ? `, about ${duration((ms / share) * (1 - share))} left` : ''
  return `${documents} documents indexed, ${percent} %, ${rate.toFixed(rate < 10 ? 1 : 0)}/s${last ? `, ${duration(ms)}` : left}`
}

const duration = (ms: number): string => (ms < 60_000 ? `${Math.ceil(ms / 1_000)} s` : `${Math.ceil(ms / 60_000)} min`)
