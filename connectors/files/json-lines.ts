import { createReadStream } from 'node:fs'
import { z } from 'zod'
import { checkKey } from '../../processors/document-key.ts'
import { reasonOf } from '../../streams/errors.ts'
import { decodeText, utf16Of } from './decode.ts'

/** A document without its id, as the publish door takes it. */
export interface DocumentFields {
  readonly text: string
  readonly contentType?: string | null | undefined
  readonly title?: string | null | undefined
  readonly url?: string | null | undefined
  readonly language?: string | null | undefined
  readonly attributes?: Readonly<Record<string, string | number | boolean | string[]>> | undefined
  readonly acl?: readonly string[] | null | undefined
}

export interface JsonLine {
  readonly id: string
  /** null: the line asks for the deletion of the document. */
  readonly fields: DocumentFields | null
}

export interface LineProblem {
  /** From 1; absent if it is the whole file. */
  readonly line?: number
  readonly reason: string
}

/** Bytes of a line: room for a text of the largest size with every character escaped. */
const lineBytesMax = 8 * 1024 * 1024

const example = 'write one object per line, like {"id":"a","text":"…"}'

/** What is wrong with an id; null: nothing. */
export function checkId(id: string): string | null {
  try {
    checkKey(`tenant/${id}`)
    return null
  } catch (error) {
    return reasonOf(error)
      .replace(/^key: (the id )?/, '')
      .replaceAll('tenant/', '')
  }
}

const id = z.string().superRefine((value, context) => {
  const message = checkId(value)
  if (message !== null) context.addIssue({ code: 'custom', message })
})
const deletion = z.strictObject({ id, delete: z.literal(true) })
const document = z.strictObject({
  id,
  text: z.string(),
  contentType: z.string().nullish(),
  title: z.string().nullish(),
  url: z.string().nullish(),
  language: z.string().nullish(),
  attributes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])).optional(),
  acl: z.array(z.string()).nullish(),
})

/** The documents of a file with one JSON object on each line. */
export const readJsonLines = (path: string, textBytesMax: number): AsyncGenerator<JsonLine | LineProblem> =>
  readJsonStream(createReadStream(path, { highWaterMark: 256 * 1024 }), textBytesMax)

/** One JSON object on each line; a bad line is a problem of its own. Reads as it goes, so there may be any number of them. */
export async function* readJsonStream(
  stream: AsyncIterable<Buffer>,
  textBytesMax: number,
): AsyncGenerator<JsonLine | LineProblem> {
  let line = 0
  let documents = 0
  try {
    for await (const bytes of linesOf(stream)) {
      line++
      if (line === 1 && bytes !== null && utf16Of(bytes) !== null)
        return yield { reason: 'is UTF-16; save it as UTF-8' }
      const parsed =
        bytes === null
          ? { reason: `has more than ${lineBytesMax} bytes; split the document` }
          : parseLine(bytes, textBytesMax)
      if (parsed === null) continue
      documents++
      yield 'reason' in parsed ? { line, ...parsed } : parsed
    }
  } catch (error) {
    return yield { reason: `cannot be read (${(error as Error).message}); check its permissions` }
  }
  if (documents === 0) yield { reason: 'is empty; fill it, or remove it' }
}

/** The bytes of each line without its end; null for one over the bound. */
async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer | null> {
  let parts: Buffer[] = []
  let size = 0
  const add = (part: Buffer) => {
    size += part.length
    if (size <= lineBytesMax) parts.push(part)
    else parts = []
  }
  const take = () => {
    const line = size > lineBytesMax ? null : Buffer.concat(parts)
    parts = []
    size = 0
    return line
  }
  for await (const chunk of stream) {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      add(chunk.subarray(from, end))
      yield take()
      from = end + 1
    }
    add(chunk.subarray(from))
  }
  if (size > 0) yield take()
}

function parseLine(bytes: Buffer, textBytesMax: number): JsonLine | { reason: string } | null {
  const text = decodeText(bytes)
  if (typeof text !== 'string') return text
  if (text.trim() === '') return null
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { reason: `is not JSON (${JSON.stringify(text.slice(0, 40))}); ${example}` }
  }
  return documentOfJson(json, textBytesMax)
}

/** The document that an object is, or what is wrong with it. */
export function documentOfJson(json: unknown, textBytesMax: number): JsonLine | { reason: string } {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return { reason: `is not an object; ${example}` }
  const parsed = 'delete' in json ? deletion.safeParse(json) : document.safeParse(json)
  if (!parsed.success) return { reason: parsed.error.issues.map(faultOf).join('; ') }
  if ('delete' in parsed.data) return { id: parsed.data.id, fields: null }
  const { id, ...fields } = parsed.data
  const size = Buffer.byteLength(fields.text)
  if (size > textBytesMax) return { reason: `text: has ${size} bytes, more than ${textBytesMax}; split the document` }
  return { id, fields }
}

function faultOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return `${issue.keys.join(', ')}: no such field; leave it out, or put it under attributes`
  const field = issue.path.join('.')
  if (issue.code === 'custom') return `${field}: ${issue.message}`
  return `${field}: ${issue.message}; ${field.startsWith('attributes') ? 'give a string, number, boolean or list of strings' : example}`
}
