import { htmlToText } from '../clean-html.ts'
import type { Mapping } from './declaration.ts'
import type { Field } from './fields.ts'

/** What the mapping declares of one field's text: HTML is made text, and what is to be redacted is. */
export const cleanedField =
  ({ clean: { html, redact } }: Pick<Mapping, 'clean'>) =>
  ({ steps }: Field, text: string): string => {
    const isHtml = html.some((each) => each.steps.join('.') === steps.join('.'))
    return redact.reduce(
      (rest, { pattern, by }) => rest.replace(pattern, () => by),
      isHtml ? htmlToText(text).text : text,
    )
  }

/** Of the whole text: the lines that are the same in every document are left out. */
export function cleaned(text: string, { dropLines }: Mapping['clean']): string {
  if (dropLines.length === 0) return text
  const dropped = new Set(dropLines.map((line) => line.trim()))
  return text
    .split('\n')
    .filter((line) => !dropped.has(line.trim()))
    .join('\n')
}
