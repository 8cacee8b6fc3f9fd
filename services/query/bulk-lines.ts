/** A line of a body, by its number from 1. `bytes`: null where there are more than a line may have; they are not kept. */
export interface Line {
  readonly number: number
  readonly bytes: Buffer | null
}

/** The lines of a body as they come: what has arrived is given out before more is read. No more than one line is held. */
export async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<readonly Line[]> {
  let number = 0
  let begun: Buffer[] = []
  let begunBytes = 0
  const begin = (piece: Buffer): void => {
    begunBytes += piece.length
    if (begunBytes <= LINE_BYTES_MAX) begun.push(piece)
    else begun = []
  }
  const end = (): Line => {
    const bytes = begunBytes <= LINE_BYTES_MAX ? Buffer.concat(begun) : null
    begun = []
    begunBytes = 0
    return { number: ++number, bytes }
  }
  for await (const chunk of body) {
    const lines: Line[] = []
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      begin(chunk.subarray(from, at))
      lines.push(end())
      from = at + 1
    }
    if (from < chunk.length) begin(chunk.subarray(from))
    if (lines.length > 0) yield lines
  }
  if (begunBytes > 0) yield [end()]
}

const NEWLINE = 0x0a
/** One document of 16 MiB, and the rest. */
export const LINE_BYTES_MAX = 17 * 1024 * 1024
