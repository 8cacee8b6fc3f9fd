/**
 * Patterns of what is to be redacted: the part of regular expressions whose cost is bounded by the pattern. No groups, no alternatives, no
 * `*` and `+`: each piece is a character or a class, as often as a number says, so that at one place of a text no more than so many ways are tried.
 */
const PIECE =
  /(?:\\[dwsDWS.\-+*?()[\]{}|^$/\\]|\[\^?(?:\\.|[^\]\\])+\]|[^\\[\](){}*+?|^$])(?:\{(\d{1,3})(?:,(\d{1,3}))?\}|(\?))?/y
const WAYS_MAX = 1_000
const LENGTH_MAX = 200

/** Throws with what is wrong with it. */
export function boundedPattern(text: string): RegExp {
  if (text.length > LENGTH_MAX) throw new Error(`has ${text.length} characters, more than ${LENGTH_MAX}`)
  let ways = 1
  let at = 0
  while (at < text.length) {
    PIECE.lastIndex = at
    const piece = PIECE.exec(text)
    if (piece === null)
      throw new Error(
        `${JSON.stringify(text.slice(at, at + 10))} cannot be bounded; use characters, classes like \\d and [a-z], and counts like {2,8}`,
      )
    const least = Number(piece[1] ?? (piece[3] ? 0 : 1))
    ways *= Number(piece[2] ?? piece[1] ?? 1) - least + 1
    at = PIECE.lastIndex
  }
  if (ways > WAYS_MAX)
    throw new Error(`may be tried in ${ways} ways at one place, more than ${WAYS_MAX}; bound its counts closer`)
  return new RegExp(text, 'gu')
}

/** By name. Near enough to hide what looks like it; not a proof that nothing is left. */
export const namedPatterns = {
  email: /(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}/g,
  phone: /(?<![\w+])\+\d(?:[ -]?\d){6,14}(?!\d)/g,
  card: /(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)/g,
  iban: /(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Z0-9])/g,
} as const
