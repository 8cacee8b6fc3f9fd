import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { attributeColumn, type Columns } from './columns.ts'
import { readCsv } from './csv.ts'
import type { JsonLine, LineProblem } from './json-lines.ts'

const columns: Columns = {
  id: 'sku',
  text: ['name', 'about'],
  title: 'name',
  attributes: [attributeColumn('price:number')],
}

async function read(t: TestContext, content: string | Buffer, of = columns): Promise<(JsonLine | LineProblem)[]> {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-csv-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'goods.csv'), content)
  return Array.fromAsync(readCsv(join(folder, 'goods.csv'), of, 900 * 1024))
}

const said = (all: readonly (JsonLine | LineProblem)[]) =>
  all.map((each) => ('reason' in each ? `${each.line ?? ''} ${each.reason}` : each.id))

test('each row is a document, of the columns that were named, whatever stands between them', async (t) => {
  for (const mark of [',', ';', '\t']) {
    const table = ['\ufeffsku,name,about,price', 'a,Tea,"Green, ""fresh""\nand loose",4.5', '', 'b,Cup,,'].join('\r\n')

    const found = await read(t, table.replace('Green, ', 'Green ').replaceAll(',', mark))

    assert.deepEqual(found, [
      { id: 'a', fields: { text: 'Tea\nGreen "fresh"\nand loose', title: 'Tea', attributes: { price: 4.5 } } },
      { id: 'b', fields: { text: 'Cup', title: 'Cup', attributes: {} } },
    ])
  }
})

test('a bad row is a problem with its line, and the others go through', async (t) => {
  const rows = ['sku,name,about,price', 'a,Tea,x,1', ',Cup,y,2', 'c,Pot,z,cheap', 'd,Lid', 'a,Jug,x,3', 'e,Bag,v,5']

  const found = said(await read(t, rows.join('\n'))).sort()

  const expected = [
    /^3 sku: is empty, and is to be the id/,
    /^4 price: "cheap" is no number; mend it/,
    /^5 .*; mend the row/,
    /^6 id: "a" is that of line 2 too/,
    /^a$/,
    /^e$/,
  ]
  assert.equal(found.length, expected.length)
  for (const [i, pattern] of expected.entries()) assert.match(found[i]!, pattern)
})

test('a table that is none is one problem, which says why', async (t) => {
  const latin1 = Buffer.from('sku,name,about,price\na,k\u00e4se,x,1\n', 'latin1')

  assert.match(said(await read(t, ''))[0]!, /is empty/)
  assert.match(
    said(await read(t, 'id,name\na,b\n')).join(),
    /there is no column sku, about, price; there are: id, name/,
  )
  assert.match(said(await read(t, latin1)).join(), /is not UTF-8; save it as UTF-8/)
  assert.match(said(await read(t, Buffer.from('\ufeffsku', 'utf16le')))[0]!, /is UTF-16/)
})

test('a quote that never ends is refused, not held in memory', async (t) => {
  const found = said(await read(t, `sku,name,about,price\na,"${'x'.repeat(8 * 1024 * 1024)}`))

  assert.equal(found.length, 1)
  assert.match(found[0]!, /Max Record Size|max_record_size|Quote Not Closed/i)
})
