/** What every text goes through, whatever its content type: Unicode, invisible characters and white space. All of it is linear in the text, and a second time changes nothing. */

/** Marks on one base character. UAX #15 (Stream-Safe Text Format) finds 30 enough for every writing system; NFC is quadratic in the length of such a run. */
const marksMax = 30
const surplusMarks = new RegExp(`(\\p{M}{${marksMax}})\\p{M}+`, 'gu')

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: these are the characters to be removed.
// biome-ignore-start lint/suspicious/noMisleadingCharacterClass: single code points are meant.
const lineBreaks = /\r\n?|[\u000b\u000c\u0085\u2028\u2029]/g
const spaces = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800\u3164\uffa0]/g
/** Control characters but \n and \t, soft hyphens, zero-width, bidi controls, BOM, tags (used to smuggle hidden text), noncharacters. */
const invisible =
  /[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Noncharacter_Code_Point}/gu
/** Joiners mean something between emoji and in scripts that join letters, and nothing elsewhere. */
const strayJoiners =
  /(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Myanmar}])[\u200c\u200d]+|(?<=[\u200c\u200d])[\u200c\u200d]+/gu
// biome-ignore-end lint/suspicious/noMisleadingCharacterClass: as above.
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: as above.

/** Unicode NFC without invisible characters; line breaks are \n, every other space is U+0020 or a tab. The text must be well formed. */
export function cleanCharacters(text: string): string {
  return text
    .replace(surplusMarks, '$1')
    .normalize('NFC')
    .replace(lineBreaks, '\n')
    .replace(spaces, ' ')
    .replace(invisible, '')
    .replace(strayJoiners, '')
    .replace(surplusMarks, '$1')
    .normalize('NFC')
    .replace(surplusMarks, '$1')
}

/** One line, with single spaces. */
export function oneLine(text: string): string {
  return cleanCharacters(text)
    .replace(/[ \n\t]+/g, ' ')
    .trim()
}

/**
 * Single spaces, at most one empty line in a row, no white space at the ends of lines. Lines of list items keep their
 * indentation, and code blocks between fences keep all but white space at the ends of lines: the splitter and readers need both.
 */
export function squeezeSpaces(text: string): string {
  const lines: string[] = []
  let fence: string | null = null
  for (const raw of text.split('\n')) {
    const line = fence === null ? squeezeLine(raw) : raw.trimEnd()
    if (line === '' && (lines.length === 0 || lines.at(-1) === '')) continue
    fence = fenceAfter(line, fence)
    lines.push(line)
  }
  while (lines.at(-1) === '') lines.pop()
  return lines.join('\n')
}

/** The fence that is open after this line: the run of ` or ~ that opened it, or null. Fences may be indented (in list items). */
export function fenceAfter(line: string, open: string | null): string | null {
  const run = fenceRun(line)
  if (run === '') return open
  if (open === null) return run[0] === '`' && line.includes('`', line.indexOf(run) + run.length) ? null : run
  return run.startsWith(open) && line.trim() === run ? null : open
}

function fenceRun(line: string): string {
  return /^[ \t]*(`{3,}|~{3,})/.exec(line)?.[1] ?? ''
}

const indentMax = 16
export const listItem = /^([ \t]*)(?:[-*+]|\d{1,9}[.)])[ \t]+\S/

function squeezeLine(raw: string): string {
  const line = raw.trim().replace(/[ \t]{2,}/g, (run) => (run.includes('\t') ? '\t' : ' '))
  const indent = listItem.exec(raw)?.[1]
  return indent === undefined ? line : ' '.repeat(Math.min(indent.replaceAll('\t', '    ').length, indentMax)) + line
}

export function hasLettersOrDigits(text: string): boolean {
  return /[\p{L}\p{N}]/u.test(text)
}

const shownCharsMax = 60

/** A value as it can stand in a message: one line, JSON quotes and escapes, cut to 60 characters. */
export function shown(value: unknown): string {
  if (typeof value === 'string' && value.length > shownCharsMax)
    return `${shown(value.slice(0, shownCharsMax)).slice(0, -1)}…"`
  const text = JSON.stringify(value) ?? String(value)
  const line = typeof value === 'string' || text.length <= shownCharsMax ? text : `${text.slice(0, shownCharsMax)}…`
  return line.replace(/[^\x20\p{L}\p{N}\p{P}\p{S}]/gu, (c) => `\\u${c.codePointAt(0)?.toString(16).padStart(4, '0')}`)
}
