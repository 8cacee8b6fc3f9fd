import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { Browser, Page, WebSocketRoute } from 'playwright-core'
import { chromiumPath, NO_CHROMIUM } from '../../infra/local/chromium.ts'
import { openPlatform, type Platform, signed } from '../../test/platform.ts'
import { until } from '../../test/until.ts'
import { faintTexts, openBrowser, openPage, sideways } from './watched-page.ts'

/** The page in Chromium, on the real processes, as people use it: by what they see, point at and type. */
const chromium = chromiumPath()
const skip = chromium === null ? NO_CHROMIUM : false
let platform: Platform
let browser: Browser
/** Of the gateway. */
let door: string
let operator: string
/** May search, subscribe and publish, and sees all of its tenant. */
let apiKey: string

before(async () => {
  if (chromium === null) return
  browser = await openBrowser(chromium)
  platform = await openPlatform()
  const { url } = await platform.all({ ...signed, FRESHET_OPERATOR_TENANT: platform.tenant })
  door = url.replace(/^ws/, 'http').replace('/v1/ws', '')
  const command = platform.freshet('keys', 'create', 'operator', '--scopes', 'admin', '--json')
  await command.ended
  operator = (JSON.parse(command.log()) as { apiKey: string }).apiKey
  await until('the gateway knows the key', async () => (await ask('GET', '/v1/admin/keys', operator)).ok, 10_000, 500)
  apiKey = (await keyFor(['search', 'subscribe', 'publish'])).apiKey
  await publish({
    id: 'returns',
    title: 'Returns',
    text: 'A parcel may come back within 30 days.',
    attributes: { team: 'support' },
  })
  await publish({ id: 'offsets', title: 'Offsets', text: 'Commit an offset after the record was processed.' })
})
after(async () => {
  await browser?.close()
  await platform?.[Symbol.asyncDispose]()
})

const ask = (method: string, path: string, key: string, body?: object) =>
  fetch(`${door}${path}`, { method, headers: { 'x-api-key': key }, ...(body && { body: JSON.stringify(body) }) })

async function keyFor(scopes: readonly string[], groups: readonly string[] = ['*']) {
  const made = await ask('POST', '/v1/admin/keys', operator, { name: 'of the console', scopes, groups })
  const key = (await made.json()) as { id: string; apiKey: string }
  await until(
    'the key is known',
    async () => (await ask('POST', '/v1/wait', key.apiKey, {})).status !== 401,
    10_000,
    500,
  )
  return key
}

async function publish(document: object): Promise<void> {
  const answer = await ask('POST', '/v1/documents', apiKey, { documents: [document], ack: 'indexed' })
  assert.equal(answer.status, 200, await answer.text())
}

/** Documents that the key finds by these words. */
async function found(key: string, query: string): Promise<string[]> {
  const answer = await ask('POST', '/v1/search', key, { query, mode: 'keyword' })
  return ((await answer.json()) as { hits: { documentId: string }[] }).hits.map(({ documentId }) => documentId)
}

const opened = (key = apiKey) => `${door}/console#key=${key}`
const hitOf = (page: Page, id: string) => page.locator(`.hits > li[data-hit="${id}#0"]`)
const search = (page: Page, query: string) => page.getByRole('searchbox', { name: 'Search' }).fill(query)

async function fill(page: Page, fields: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(fields)) await page.getByLabel(name, { exact: true }).fill(text)
}

/** Words that no other test has. */
const word = () => `w${randomBytes(4).toString('hex')}`

test('a link with a key opens the page; the key leaves the address, is in no request, and stays in this tab only', {
  skip,
}, async (t) => {
  const { page, requests } = await openPage(t, browser, opened())
  await page.getByRole('searchbox').waitFor()
  const address = page.url()

  await page.reload()
  await page.getByRole('searchbox').waitFor()
  const other = await page.context().newPage()
  await other.goto(`${door}/console`)

  await other.getByLabel('API key').waitFor()
  assert.equal(address, `${door}/console`)
  assert.equal(await page.evaluate(() => history.length), 2, 'going back would show the key')
  assert.deepEqual(
    requests.filter((each) => each.includes(apiKey)),
    [],
  )
})

test('without a key it asks for one, says why one is refused, and ends with one that is revoked', {
  skip,
}, async (t) => {
  const { id, apiKey: revocable } = await keyFor(['search', 'subscribe'])
  const { page } = await openPage(t, browser, `${door}/console`)
  const field = page.getByLabel('API key')
  await field.fill('fk_abcdefghijkl_of-nobody')
  await page.keyboard.press('Enter')
  const refused = await page.getByRole('alert').textContent()

  await field.fill(revocable)
  await page.keyboard.press('Enter')
  await page.getByRole('searchbox').waitFor()
  await page.getByRole('switch', { name: 'Live' }).check()
  await search(page, 'parcel')
  await page.locator('.live').waitFor()
  await ask('DELETE', `/v1/admin/keys/${id}`, operator)

  await field.waitFor()
  assert.match(refused!, /^The key was refused: .*API key/)
  assert.match((await page.getByRole('alert').textContent())!, /revoked|not good/)
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
})

test('a search shows its words marked, the place in each list, how fresh it is, and what a filter leaves', {
  skip,
}, async (t) => {
  const { page } = await openPage(t, browser, opened())

  await search(page, 'parcels that come back')
  const hit = hitOf(page, 'returns')
  await hit.waitFor()
  const marked = await hit.locator('mark').allTextContents()
  const parts = await hit.locator('.part').allTextContents()
  const status = page.getByRole('status').first()
  await until(
    'it says that it is up to date',
    async () => {
      await search(page, 'parcels that came back')
      await search(page, 'parcels that come back')
      return /up to date/.test((await status.textContent())!)
    },
    15_000,
    500,
  )
  await fill(page, { Filter: 'team!=support' })
  await hit.waitFor({ state: 'detached' })
  await fill(page, { Filter: 'team' })

  assert.ok(marked.includes('parcel') && marked.includes('back'), marked.join())
  assert.deepEqual(
    parts.map((each) => each.replace(/[\d.]+$/, '')),
    ['meaning #1 ', 'keywords #1 '],
  )
  assert.match((await page.getByRole('alert').textContent())!, /“team” is not name=value/)
})

test('while a query is live, a document that is published beside it enters, changes and leaves, and keeps its groups', {
  skip,
}, async (t) => {
  const { page } = await openPage(t, browser, opened())
  const stranger = (await keyFor(['search'], ['sales'])).apiKey
  const [id, secret] = [word(), word()]
  await page.getByRole('switch', { name: 'Live' }).check()
  await search(page, `salary bands ${secret}`)
  await page.locator('.live').waitFor()

  await fill(page, {
    Id: id,
    Title: 'Salary bands',
    Text: `Bands for ${secret}.`,
    Attributes: 'year=2024',
    'Groups that are shown it': 'board, hr',
  })
  await page.getByRole('button', { name: 'Publish' }).click()
  await page.locator(`li[data-hit="${id}#0"][data-news=new]`).waitFor()
  const said = await page.locator('.said').textContent()
  await page.getByRole('button', { name: 'Clear' }).click()
  await hitOf(page, id)
    .getByRole('button', { name: `Edit ${id}` })
    .click()
  await page.getByText('Edit a document').waitFor()
  const groups = await page.getByLabel('Groups that are shown it').inputValue()
  await fill(page, { Text: `Other bands for ${secret}.` })
  await page.getByRole('button', { name: 'Publish' }).click()
  await page.locator(`li[data-hit="${id}#0"][data-news=changed]`).waitFor()
  const text = await hitOf(page, id).locator('.text').textContent()
  const seen = { own: await found(apiKey, secret), stranger: await found(stranger, secret) }
  await page.getByRole('button', { name: 'Delete…' }).click()
  await page.getByRole('button', { name: `Delete ${id}` }).click()

  await hitOf(page, id).waitFor({ state: 'detached' })
  assert.match(said!, /: indexed, found by search \d+ ms after it was sent|: indexed, found by search [\d.]+ s after/)
  assert.match(text!, /Other bands/)
  assert.equal(groups, 'board, hr')
  assert.deepEqual(seen, { own: [id], stranger: [] }, 'an edit has shown it to others')
  assert.match((await page.getByRole('status').first().textContent())!, new RegExp(`${id} left`))
})

test('what is published is found by the search that was typed before, also where it does not stand', {
  skip,
}, async (t) => {
  const { page } = await openPage(t, browser, opened())
  const id = word()
  await search(page, `about ${id}`)
  await page.locator('.status', { hasText: 'hit' }).waitFor()

  await fill(page, { Id: id, Text: `All about ${id}.` })
  await page.getByRole('button', { name: 'Publish' }).click()

  await hitOf(page, id).waitFor()
})

test('a document of somebody else is not edited, and who would replace it is told what is lost', {
  skip,
}, async (t) => {
  const { page } = await openPage(t, browser, opened())

  await search(page, 'parcel')
  await hitOf(page, 'returns').waitFor()
  await fill(page, { Id: 'returns' })

  await page.getByText('its whole text and its groups are not known here').waitFor()
  assert.equal(await hitOf(page, 'returns').getByRole('button', { name: /Edit/ }).count(), 0)
})

test('what a document says is text, whatever it says', { skip }, async (t) => {
  const { page } = await openPage(t, browser, opened())
  const [id, name] = [word(), word()]
  const attack = `<img src=x onerror="document.title='${name}'"> ${name} <script>document.title='${name}'</script>`

  await publish({ id, title: `<b>${name}</b>`, text: attack, contentType: 'text/plain', attributes: { a: '<i>b</i>' } })
  await search(page, name)
  await hitOf(page, id).waitFor()

  assert.equal(await hitOf(page, id).locator('.text').textContent(), attack)
  assert.equal(await page.title(), 'Freshet')
  assert.equal(await page.locator('.hits :is(img, script, i)').count(), 0)
})

test('everything is done by the keyboard alone, and where it is can be seen', { skip }, async (t) => {
  const { page } = await openPage(t, browser, opened())
  const id = word()
  await page.getByRole('searchbox').waitFor()
  const walked: string[] = []
  const unseen: string[] = []
  const tab = async (key = 'Tab') => {
    await page.keyboard.press(key)
    const { name, isSeen } = await page.evaluate(() => {
      const element = document.activeElement!
      const shown = element.matches('[type=radio]') ? element.nextElementSibling! : element
      const { outlineStyle, outlineWidth } = getComputedStyle(shown)
      const label = (element as HTMLInputElement).labels?.[0]?.textContent?.trim()
      const isSeen = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2
      return { name: label ?? element.textContent!.trim(), isSeen }
    })
    walked.push(name)
    if (!isSeen) unseen.push(name)
  }

  await page.keyboard.press('/')
  await page.keyboard.type(`about ${id}`)
  for (let i = 0; i < 4; i++) await tab()
  await page.keyboard.press('Space')
  await page.locator('.live').waitFor()
  // Past whatever hits there are.
  for (let i = 0; i < 50 && walked.at(-1) !== 'Id'; i++) await tab()
  await page.keyboard.type(id)
  await tab()
  await tab()
  await page.keyboard.type(`All about ${id}.`)
  await tab()
  await tab()
  await page.keyboard.press('Enter')
  await page.locator(`li[data-hit="${id}#0"][data-news=new]`).waitFor()
  await tab()
  await page.keyboard.press('Enter')
  await tab()
  await page.keyboard.press('Enter')
  await hitOf(page, id).waitFor({ state: 'detached' })

  assert.deepEqual(walked.slice(0, 4), ['Hybrid', 'Hits5102050', 'Filter', 'Live'])
  assert.deepEqual(walked.slice(walked.indexOf('Id')), [
    'Id',
    'Title',
    'Text',
    'Attributes',
    'Groups that are shown it',
    'Delete…',
    `Delete ${id}`,
  ])
  assert.deepEqual(unseen, [])
})

test('on a phone nothing is wider than the screen, and in light and dark every text stands out', {
  skip,
}, async (t) => {
  const { page } = await openPage(t, browser, `${door}/console`, { viewport: { width: 390, height: 844 } })
  const id = `${word()}-${'very-long-'.repeat(12)}`
  await publish({
    id,
    title: 'x'.repeat(200),
    text: `Long ${'y'.repeat(400)} parcel`,
    attributes: { team: 'z'.repeat(90) },
  })
  const looks: Record<string, { sideways: number; faint: string[] }> = {}
  const look = async (what: string) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      const { faint, looked } = await faintTexts(page)
      assert.ok(looked > 3, `${what}: ${looked} texts are there`)
      looks[`${what}, ${colorScheme}`] = { sideways: await sideways(page), faint }
    }
  }

  await page.getByLabel('API key').fill('fk_abcdefghijkl_of-nobody')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').waitFor()
  await look('a refused key')
  await page.getByLabel('API key').fill(apiKey)
  await page.keyboard.press('Enter')
  await page.getByRole('searchbox').waitFor()
  await look('nothing typed')
  await search(page, 'parcel')
  await hitOf(page, id).waitFor()
  await hitOf(page, id)
    .getByRole('button', { name: /Whole text/ })
    .click()
  await fill(page, { Id: id })
  await look('hits and a notice')
  await page.getByRole('switch', { name: 'Live' }).check()
  await page.locator('.live').waitFor()
  await page.getByRole('button', { name: 'Delete…' }).click()
  await look('live, before a deletion')

  const wrong = Object.entries(looks).filter(([, { sideways, faint }]) => sideways > 0 || faint.length > 0)
  assert.deepEqual(wrong, [])
  assert.equal(Object.keys(looks).length, 8)
})

test('hits move where motion is welcome, and only change places where it is not', { skip }, async (t) => {
  const [moving, still] = await Promise.all(
    (['no-preference', 'reduce'] as const).map(async (reducedMotion) => {
      const { page } = await openPage(t, browser, opened(), { reducedMotion })
      await page.getByRole('switch', { name: 'Live' }).check()
      await search(page, 'a parcel with motion')
      await page.locator('.live').waitFor()
      await page.evaluate(() => {
        const animate = Element.prototype.animate
        Object.assign(window, { animated: 0 })
        Element.prototype.animate = function (...given) {
          Object.assign(window, { animated: (window as unknown as { animated: number }).animated + 1 })
          return animate.apply(this, given)
        }
      })
      return page
    }),
  )
  const id = word()

  await publish({ id, text: 'A parcel with motion.' })
  const animated = await Promise.all(
    [moving!, still!].map(async (page) => {
      await page.locator(`li[data-hit="${id}#0"][data-news=new]`).waitFor()
      return page.evaluate(() => (window as unknown as { animated: number }).animated)
    }),
  )

  assert.ok(animated[0]! > 0, 'nothing has moved')
  assert.equal(animated[1], 0)
})

test('what is wrong is seen and said: a lost connection, an index that cannot be asked, a scope that is missing', {
  skip,
}, async (t) => {
  const searcher = (await keyFor(['search'])).apiKey
  const { page } = await openPage(t, browser, `${door}/console`)
  let socket: WebSocketRoute | undefined
  let isDown = false
  await page.routeWebSocket('**/v1/ws', (route) => {
    if (isDown) return route.close({ code: 1013 })
    socket = route
    const server = route.connectToServer()
    server.onMessage((message) => {
      subscription =
        /"type":"snapshot","id":"([^"]+)"|"id":"([^"]+)","type":"snapshot"/.exec(String(message)) ?? subscription
      route.send(message)
    })
  })
  let subscription: RegExpExecArray | null = null
  await page.getByLabel('API key').fill(searcher)
  await page.keyboard.press('Enter')
  await search(page, 'parcel')
  await hitOf(page, 'returns').waitFor()
  await page.getByRole('switch', { name: 'Live' }).check()
  const forbidden = await page.getByRole('alert').textContent()
  await page.getByRole('button', { name: 'Forget the key' }).click()
  await page.getByLabel('API key').fill(apiKey)
  await page.keyboard.press('Enter')
  await page.getByRole('switch', { name: 'Live' }).check()
  await search(page, 'parcel')
  await page.locator('.live').waitFor()

  const id = subscription![1] ?? subscription![2]
  socket!.send(JSON.stringify({ type: 'notice', id, code: 'not_following', message: 'Qdrant is away' }))
  const notFollowing = await page.getByRole('alert').textContent()
  isDown = true
  await socket!.close({ code: 1012 })
  await page.getByRole('alert').filter({ hasText: 'Disconnected' }).waitFor()
  const hits = await page.locator('.hits > li').count()
  isDown = false

  await page.locator('.live').waitFor()
  assert.match(forbidden!, /^Not answered: .*subscribe/)
  assert.match(notFollowing!, /^Not following: .*Qdrant is away/)
  assert.ok(hits > 0, 'the last hits known are gone')
  assert.equal(await page.getByRole('alert').count(), 0)
})
