import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

export const openBrowser = (executablePath: string): Promise<Browser> => chromium.launch({ executablePath })

export interface Watched {
  readonly page: Page
  /** Addresses that were asked for, and what was sent over WebSockets. */
  readonly requests: string[]
  /** What must not be: errors on the console, exceptions, violations of the policy, requests to elsewhere. */
  readonly faults: string[]
}

/** A page in a profile of its own. Whatever goes wrong in it fails the test at its end, unless the test expects it: `expected`. */
export async function openPage(
  t: TestContext,
  browser: Browser,
  url: string,
  { expected, ...options }: BrowserContextOptions & { readonly expected?: RegExp } = {},
): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(STEP_MS_MAX)
  const requests: string[] = []
  const faults: string[] = []
  const { origin } = new URL(url)
  const own = [origin, origin.replace(/^http/, 'ws')]
  const asked = (address: string) => {
    requests.push(address)
    if (!address.startsWith('data:') && !own.includes(new URL(address).origin)) faults.push(`asked for ${address}`)
  }
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(`console: ${message.text()}`)
  })
  page.on('pageerror', ({ message }) => faults.push(`exception: ${message}`))
  page.on('request', (request) => asked(request.url()))
  page.on('websocket', (socket) => asked(socket.url()))
  await page.exposeFunction('violated', (what: string) => faults.push(`policy: ${what}`))
  await page.addInitScript(() =>
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      (window as unknown as { violated(what: string): void }).violated(`${violatedDirective} ${blockedURI}`),
    ),
  )
  t.after(async () => {
    await context.close()
    const unexpected = faults.filter((each) => !expected?.test(each))
    assert.deepEqual(unexpected, [])
    assert.ok(requests.length > 2, 'the page has asked for nothing: nothing was looked at')
  })
  await page.goto(url)
  return { page, requests, faults }
}

const STEP_MS_MAX = 10_000

/** Texts whose contrast with what is behind them is below 4.5, as WCAG 2 computes it. */
export function faintTexts(page: Page): Promise<{ readonly faint: string[]; readonly looked: number }> {
  return page.evaluate(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!
    const channels = (color: string, over: readonly number[]): number[] => {
      canvas.fillStyle = `rgb(${over.join(' ')})`
      canvas.fillRect(0, 0, 1, 1)
      canvas.fillStyle = color
      canvas.fillRect(0, 0, 1, 1)
      return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)]
    }
    const luminance = (color: readonly number[]) => {
      const [red, green, blue] = color.map((each) => {
        const part = each / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
    }
    const behind = (element: Element | null): number[] => {
      if (element === null) return channels(getComputedStyle(document.body).backgroundColor, [255, 255, 255])
      const { backgroundColor } = getComputedStyle(element)
      return channels(backgroundColor, behind(element.parentElement))
    }
    const faint: string[] = []
    let looked = 0
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement!
      const said = texts.currentNode.textContent!.trim()
      const isOff = element.closest(':disabled, noscript, option, .ghost') !== null
      if (said === '' || isOff || !element.checkVisibility() || element.clientWidth === 1) continue
      looked++
      const ground = behind(element)
      const [a, b] = [luminance(channels(getComputedStyle(element).color, ground)), luminance(ground)]
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
      if (contrast < 4.5) faint.push(`${said.slice(0, 40)}: ${contrast.toFixed(2)}`)
    }
    return { faint, looked }
  })
}

/** How far the page can be scrolled sideways, px. */
export const sideways = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
