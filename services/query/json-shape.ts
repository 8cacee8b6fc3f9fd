/**
 * What is wrong with the shape of a JSON text, said before anybody parses it; null if nothing is. One small message must not cost much: what is
 * nested deeply overflows the stack of whoever walks it, and each of very many fields is a fault to be told.
 * The text need not be JSON: then something is said that parsing would say too, or nothing.
 */
export function shapeFault(text: string): string | null {
  const fieldsAt = new Uint32Array(DEPTH_MAX + 1)
  let depth = 0
  let fields = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) at = endOfString(text, at)
    else if (char === OPEN_OBJECT || char === OPEN_LIST) {
      if (++depth > DEPTH_MAX) return `is nested more than ${DEPTH_MAX} deep`
      fieldsAt[depth] = 0
    } else if (char === CLOSE_OBJECT || char === CLOSE_LIST) depth = Math.max(0, depth - 1)
    else if (char === COLON) {
      if (++fields > FIELDS_MAX) return `has more than ${FIELDS_MAX} fields in all`
      if (++fieldsAt[depth]! > FIELDS_OF_ONE_MAX) return `has an object with more than ${FIELDS_OF_ONE_MAX} fields`
    }
  }
  return null
}

/** Where the string ends that begins here. */
function endOfString(text: string, from: number): number {
  for (let at = from + 1; ; at++) {
    at = text.indexOf('"', at)
    if (at < 0) return text.length
    let before = at
    while (text.charCodeAt(before - 1) === BACKSLASH) before--
    if ((at - before) % 2 === 0) return at
  }
}

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a]
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] = [0x7b, 0x7d, 0x5b, 0x5d]

/** A filter four deep in lists of filters, in a message, is not half of it. */
export const DEPTH_MAX = 16
/** A document has at most 64 attributes. */
export const FIELDS_OF_ONE_MAX = 256
/** A hundred documents with all their attributes. */
export const FIELDS_MAX = 8_000
