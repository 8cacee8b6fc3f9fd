/**
 * JSON whose numbers stay what was written: an integer beyond 2^53 is a bigint, and a number with more digits than a double has is
 * its digits, as a string. Throws `SyntaxError`.
 */
export function parseExactJson(text: string): unknown {
  // Nothing that short can be inexact, and most records have nothing longer.
  if (!MANY_DIGITS.test(text)) return JSON.parse(text)
  return (JSON.parse as ParseWithSource)(text, (_key, value, context) =>
    typeof value === 'number' && context?.source !== undefined ? exact(value, context.source) : value,
  )
}

function exact(value: number, source: string): unknown {
  if (Number.isSafeInteger(value) || !MANY_DIGITS.test(source)) return value
  if (/^-?\d+$/.test(source)) return BigInt(source)
  return String(value) === source ? value : source
}

/** Sixteen digits, with or without a point. */
const MANY_DIGITS = /(?:\d\.?){16}/

/** What JavaScript has and its declarations do not yet: the reviver is told the text of each number. */
type ParseWithSource = (
  text: string,
  reviver: (key: string, value: unknown, context?: { readonly source?: string }) => unknown,
) => unknown
