import { InvalidArgumentError } from 'commander'

export type Filter = Readonly<Record<string, unknown>>

/** One condition, or JSON with several, added to those before. Of two for one attribute the bounds are put together. */
export function filterOf(text: string, before: Filter = {}): Filter {
  if (text.trimStart().startsWith('{')) return { ...before, ...json(text) }
  const [, name, sign, value] = /^\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=|!=|<=|>=|<|>)\s*(.*)$/s.exec(text) ?? []
  if (name === undefined || sign === undefined || value === undefined)
    throw new InvalidArgumentError('give name=value, or one JSON object, like {"language":"en"}.')
  const wanted = readValue(value)
  const bound = bounds[sign]
  if (sign === '=') return { ...before, [name]: wanted }
  if (bound === undefined) return { ...before, [name]: { not: wanted } }
  if (typeof wanted !== 'number' && !/^\d{4}-\d\d-\d\dT/.test(String(wanted)))
    throw new InvalidArgumentError(`${name}: ${sign} compares numbers, and dates like 2026-11-24T08:00:00Z.`)
  const others = before[name]
  return { ...before, [name]: { ...(typeof others === 'object' && others !== null && others), [bound]: wanted } }
}

const bounds: Readonly<Record<string, string>> = { '<': 'lt', '<=': 'lte', '>': 'gt', '>=': 'gte' }

/** What reads as a number, true or false is one; in quotes it is text. */
function readValue(text: string): string | number | boolean {
  if (/^(true|false|-?\d+(\.\d+)?|".*")$/s.test(text)) {
    try {
      return JSON.parse(text) as string | number | boolean
    } catch {}
  }
  return text
}

export function json(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {}
  throw new InvalidArgumentError('give one JSON object, like {"language":"en"}.')
}
