import { isUtf8 } from 'node:buffer'

/** The text of a file, or what is wrong with it and the fix. Strict UTF-8, or UTF-16 where a byte order mark says so. */
export function decodeText(bytes: Buffer): string | { readonly reason: string } {
  const encoding = utf16Of(bytes)
  if (encoding !== null) return decodeUtf16(bytes, encoding)
  const zero = bytes.indexOf(0)
  if (zero >= 0) return { reason: `is binary (a zero byte at offset ${zero}); give text` }
  if (!isUtf8(bytes))
    return { reason: `is not UTF-8 (the byte 0x${hexAt(bytes, firstBadByte(bytes))}); save it as UTF-8` }
  return bytes.toString('utf8', hasUtf8Mark(bytes) ? 3 : 0)
}

export function utf16Of(bytes: Buffer): 'utf-16le' | 'utf-16be' | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : null
}

function decodeUtf16(bytes: Buffer, encoding: 'utf-16le' | 'utf-16be'): string | { readonly reason: string } {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch {
    return { reason: 'begins like UTF-16 and is not; save it as UTF-8' }
  }
}

function hasUtf8Mark(bytes: Buffer): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
}

function hexAt(bytes: Buffer, at: number): string {
  return `${bytes[at]!.toString(16).padStart(2, '0')} at offset ${at}`
}

/** The decoder puts U+FFFD where the bytes are wrong: the first that is not U+FFFD in the bytes themselves is the place. */
function firstBadByte(bytes: Buffer): number {
  const text = bytes.toString('utf8')
  let offset = 0
  let from = 0
  for (let at = text.indexOf('\ufffd'); at >= 0; at = text.indexOf('\ufffd', from)) {
    offset += Buffer.byteLength(text.slice(from, at))
    if (bytes[offset] !== 0xef || bytes[offset + 1] !== 0xbf || bytes[offset + 2] !== 0xbd) return offset
    offset += 3
    from = at + 1
  }
  return offset
}
