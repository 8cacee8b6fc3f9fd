import { type Field, fieldIn, need, type Row, textOfField } from './fields.ts'

/** Text with fields in braces: `{name}: {description?}`. A brace that is meant is written twice. */
export interface Template {
  readonly text: string
  readonly parts: readonly (string | Field)[]
}

/** Throws with what is wrong with it. */
export function templateIn(text: string): Template {
  const parts: (string | Field)[] = []
  let last = 0
  const literal = (part: string) => {
    if (/(?<!\{)\{(?!\{)/.test(part.replaceAll('{{', ''))) throw new Error(`a brace is not closed; write {field}`)
    if (part !== '') parts.push(part.replaceAll('{{', '{').replaceAll('}}', '}'))
  }
  for (const found of text.matchAll(/\{\{|\}\}|\{([^{}]*)\}/g)) {
    if (found[1] === undefined) continue
    literal(text.slice(last, found.index))
    parts.push(fieldIn(found[1]))
    last = found.index + found[0].length
  }
  literal(text.slice(last))
  return { text, parts }
}

/** Filled in; `change` is told the text of each field. null where all fields are null, so that nothing is made of nothing. */
export function fill(
  { parts }: Template,
  row: Row,
  what: string,
  change: (field: Field, text: string) => string = (_, text) => text,
): string | null {
  let filled = parts.every((part) => typeof part === 'string')
  const text = parts.map((part) => {
    if (typeof part === 'string') return part
    const found = textOfField(need(part, row, what), what, part)
    if (found === null) return ''
    filled = true
    return change(part, found)
  })
  return filled ? text.join('') : null
}
