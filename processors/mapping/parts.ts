import type { Document } from '../../schemas/records.ts'
import { Reject } from '../../streams/errors.ts'
import type { Mapping } from './declaration.ts'

type Split = NonNullable<Mapping['split']>

/** Key of a part; the first lies under the key of the whole. */
export const partKey = (key: string, part: number): string => (part === 1 ? key : `${key}#${part}`)

/** Every key that a row may have: whoever writes or deletes it says something under each, so that nobody need know how many there were. */
export function keysOf(key: string, split: Split | undefined): string[] {
  if (split === undefined) return [key]
  if (/#\d+$/.test(key))
    throw new Reject(`id: ${key.slice(key.indexOf('/') + 1)} ends as the parts of a split text do; give it another end`)
  return Array.from({ length: split.partsMax }, (_, i) => partKey(key, i + 1))
}

/** The document in parts, each no longer than `partBytes`; one where it is not longer. Throws `Reject` where they would be too many. */
export function partsOf(document: Document, key: string, split: Split | undefined): Document[] {
  if (split === undefined || Buffer.byteLength(document.text) <= split.partBytes) return [document]
  const texts = sectionsOf(document.text, split.partBytes)
  if (texts.length > split.partsMax)
    throw new Reject(
      `text: becomes ${texts.length} parts of ${split.partBytes} bytes, more than ${split.partsMax}; raise split.partBytes or split.partsMax`,
    )
  const parent = key.slice(key.indexOf('/') + 1)
  return texts.map((text, i) => ({
    ...document,
    text,
    attributes: { ...document.attributes, parent, part: i + 1 },
  }))
}

/** Cut before headings where that is near enough, else between paragraphs, lines, or anywhere but within a character. */
export function sectionsOf(text: string, bytesMax: number): string[] {
  const parts: string[] = []
  let open = ''
  let openBytes = 0
  const close = () => {
    if (open.trim() !== '') parts.push(open.trim())
    open = ''
    openBytes = 0
  }
  for (const piece of piecesOf(text, bytesMax, 0)) {
    const bytes = Buffer.byteLength(piece)
    if (openBytes + bytes > bytesMax || (openBytes > bytesMax / 2 && /^#{1,6} /.test(piece))) close()
    open += piece
    openBytes += bytes
  }
  close()
  return parts
}

const CUTS = [/(?=^#{1,6} )/m, /(?<=\n\n)/, /(?<=\n)/, /(?<= )/]

function piecesOf(text: string, bytesMax: number, level: number): string[] {
  if (Buffer.byteLength(text) <= bytesMax) return [text]
  const cut = CUTS[level]
  if (cut === undefined) return charactersOf(text, bytesMax)
  return text.split(cut).flatMap((piece) => piecesOf(piece, bytesMax, level + 1))
}

function charactersOf(text: string, bytesMax: number): string[] {
  const pieces: string[] = []
  // No character has more than four bytes.
  const characters = Array.from(text)
  const step = Math.floor(bytesMax / 4)
  for (let at = 0; at < characters.length; at += step) pieces.push(characters.slice(at, at + step).join(''))
  return pieces
}
