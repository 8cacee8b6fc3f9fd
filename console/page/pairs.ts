export type Value = string | number | boolean
export type Filter = Readonly<Record<string, Value | { readonly [sign: string]: Value }>>
export type Read<T> = { readonly value: T } | { readonly fault: string }

/** `team=support year>=2024 draft!=true`: every one must hold. Of two for one attribute the bounds are put together. */
export function filterIn(text: string): Read<Filter> {
  const filter: Record<string, Value | Record<string, Value>> = {}
  const parts = partsOf(text)
  if ('fault' in parts) return parts
  for (const { name, sign, value } of parts.value) {
    const condition = CONDITIONS[sign]
    const before = filter[name]
    if (condition === undefined) filter[name] = value
    else filter[name] = { ...(typeof before === 'object' && condition !== 'not' && before), [condition]: value }
  }
  return { value: filter }
}

/** `team=support year=2024`: what a document says of itself. */
export function attributesIn(text: string): Read<Readonly<Record<string, Value>>> {
  const parts = partsOf(text)
  if ('fault' in parts) return parts
  const other = parts.value.find(({ sign }) => sign !== '=')
  if (other !== undefined) return { fault: `“${other.name}${other.sign}…” is not name=value` }
  return { value: Object.fromEntries(parts.value.map(({ name, value }) => [name, value])) }
}

interface Part {
  readonly name: string
  readonly sign: string
  readonly value: Value
}

function partsOf(text: string): Read<readonly Part[]> {
  const parts: Part[] = []
  for (const [whole] of text.matchAll(/(?:"[^"]*"|[^\s"])+/g)) {
    const [, name, sign, value] = /^([A-Za-z_][A-Za-z0-9_.-]*)(!=|<=|>=|=|<|>)(.+)$/s.exec(whole) ?? []
    if (name === undefined || sign === undefined || value === undefined)
      return { fault: `“${whole}” is not name=value` }
    parts.push({ name, sign, value: readValue(value) })
  }
  return { value: parts }
}

const CONDITIONS: Readonly<Record<string, string>> = { '!=': 'not', '<': 'lt', '<=': 'lte', '>': 'gt', '>=': 'gte' }

/** What reads as a number, true or false is one; in quotes it is text. As the command line reads it. */
function readValue(text: string): Value {
  if (/^".*"$/s.test(text)) return text.slice(1, -1)
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?(0|[1-9]\d*)(\.\d+)?$/.test(text) ? Number(text) : text
}
