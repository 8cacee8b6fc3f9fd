/**
 * Follows the frames of a WebSocket as they pass by, without looking into them, to know where one ends: only there may
 * something else be put in.
 */
export class FrameEdge {
  /** Bytes of the head that is being read. */
  #head: number[] = []
  /** Bytes of the present frame that are still to come. */
  #left = 0

  /** The connection is between two frames. */
  get atEdge(): boolean {
    return this.#left === 0 && this.#head.length === 0
  }

  pass(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at)
        this.#left -= taken
        at += taken
        continue
      }
      this.#head.push(chunk[at++]!)
      const payload = payloadOf(this.#head)
      if (payload === null) continue
      this.#head = []
      this.#left = payload
    }
  }
}

/** Bytes that follow the head, its mask counted; null while the head is not whole. */
function payloadOf(head: readonly number[]): number | null {
  if (head.length < 2) return null
  const mask = (head[1]! & 0x80) === 0 ? 0 : 4
  const short = head[1]! & 0x7f
  if (short < 126) return short + mask
  const bytes = short === 126 ? 2 : 8
  if (head.length < 2 + bytes) return null
  return head.slice(2, 2 + bytes).reduce((sum, byte) => sum * 256 + byte, 0) + mask
}

/** A close frame as a server sends it. */
export function closeFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason)
  if (text.length > 123) throw new Error(`the reason of a close frame has ${text.length} bytes, more than 123`)
  const frame = Buffer.alloc(4 + text.length)
  frame[0] = 0x88
  frame[1] = 2 + text.length
  frame.writeUInt16BE(code, 2)
  text.copy(frame, 4)
  return frame
}
