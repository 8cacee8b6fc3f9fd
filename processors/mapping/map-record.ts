import { Reject, reasonOf } from '../../streams/errors.ts'
import { shown } from '../clean-characters.ts'
import type { RawDocument } from '../clean-text.ts'
import { checkKey } from '../document-key.ts'
import { attributesOf } from './attributes.ts'
import { cleaned, cleanedField } from './cleaning.ts'
import type { Mapping } from './declaration.ts'
import { type Field, lookUp, need, type Row, textOfField } from './fields.ts'
import { changeIn } from './rows.ts'
import { fill, type Template } from './template.ts'

/** What becomes of a record. */
export type Mapped =
  | { readonly do: 'put'; readonly key: string; readonly document: RawDocument }
  | { readonly do: 'erase'; readonly key: string; readonly why: string }
  | { readonly do: 'skip'; readonly why: string }
  | { readonly do: 'truncate' }

/** Pure. Throws `Reject` with the field, the value and the fix. */
export function mapRecord(record: Row, mapping: Mapping): Mapped {
  const change = changeIn(record, mapping.rows)
  switch (change.is) {
    case 'nothing':
      return { do: 'skip', why: 'a message of the database, and no row' }
    case 'truncation':
      return { do: 'truncate' }
    case 'deletion':
      return { do: 'erase', key: keyOf(keyFirst(change.row), mapping), why: 'deleted' }
    case 'row': {
      const { row } = change
      const key = keyOf(row, mapping)
      if (isDeleted(row, mapping)) return { do: 'erase', key, why: `the delete rule: ${mapping.delete!.field.text}` }
      const document = documentOf(row, mapping)
      const { charactersMin } = mapping.clean
      if (document.text.length < charactersMin)
        return { do: 'erase', key, why: `the text has ${document.text.length} characters, fewer than ${charactersMin}` }
      return { do: 'put', key, document }
    }
  }
}

function keyOf(row: Row, { id, tenant }: Mapping): string {
  const of = typeof tenant === 'string' ? tenant : tenantOf(row, tenant)
  const name = wholeId(id, row)
  try {
    checkKey(`${of}/${name}`)
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    throw new Reject(reasonOf(error).replace(/^key: (the id )?/, 'id: '))
  }
  return `${of}/${name}`
}

/** An id with a piece missing would be that of others too. */
function wholeId({ parts }: Template, row: Row): string {
  return parts
    .map((part) => {
      if (typeof part === 'string') return part
      const text = textOfField(need(part, row, 'id'), 'id', part)
      if (text === null || text === '')
        throw new Reject(`id: field ${part.text} is ${text === null ? 'null' : 'empty'}; every row needs its own`)
      return text
    })
    .join('')
}

function tenantOf(
  row: Row,
  { field, allowed }: { readonly field: Field; readonly allowed: readonly string[] },
): string {
  const tenant = textOfField(need(field, row, 'tenant'), 'tenant', field)
  if (tenant !== null && allowed.includes(tenant)) return tenant
  throw new Reject(
    `tenant: field ${field.text} is ${shown(tenant)}, which the mapping does not allow; add it to allowed, or correct the record`,
  )
}

/** Of a deletion the key is sure, and the rest is what was there before, if that was written at all. */
function keyFirst(row: Row): Row {
  const fields = (of: unknown) => (typeof of === 'object' && of !== null && !Buffer.isBuffer(of) ? of : {})
  const merged = { ...fields(row.value), ...fields(row.key) }
  return { ...row, value: merged }
}

function isDeleted(row: Row, { delete: rule }: Mapping): boolean {
  if (rule === undefined) return false
  const found = need(rule.field, row, 'delete')
  if (found === null) return false
  const wanted = Array.isArray(rule.equals) ? rule.equals : [rule.equals]
  return wanted.some((each) => String(each) === String(found))
}

function documentOf(row: Row, mapping: Mapping): RawDocument {
  const { title, text, url, language, contentType, acl } = mapping
  const own = (template: Template | undefined, what: string) =>
    template === undefined ? null : fill(template, row, what, cleanedField(mapping))
  return {
    title: own(title, 'title'),
    text: cleaned(own(text, 'text') ?? '', mapping.clean),
    contentType,
    url: url === undefined ? null : fill(url, row, 'url'),
    language: language === undefined ? null : fill(language, row, 'language'),
    attributes: attributesOf(row, mapping),
    acl: acl === undefined ? null : aclOf(row, acl),
  }
}

function aclOf(row: Row, acl: NonNullable<Mapping['acl']>): readonly string[] {
  if (Array.isArray(acl)) return acl
  const { field } = acl as { readonly field: Field }
  const found = lookUp(field, row)
  // What is missing must not open a document to everyone.
  if (typeof found === 'string') return found.split(',').flatMap((each) => each.trim() || [])
  if (Array.isArray(found) && found.every((each) => typeof each === 'string')) return found
  throw new Reject(
    `acl: field ${field.text} is ${shown(found)}, which is no list of groups; write a list, or groups with commas between`,
  )
}
