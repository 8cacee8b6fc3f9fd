import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { z } from 'zod'

/**
 * The value of a setting that is secret. Only who asks for its `value` sees it: a log, JSON and a template have `[secret]`. One that lies
 * in a file is read again when it is asked for, so it can be replaced while the process runs.
 */
export class Secret {
  readonly #read: () => string
  readonly #path: string | null
  #known: { readonly value: string; readonly at: number } | null = null

  private constructor(read: () => string, path: string | null) {
    this.#read = read
    this.#path = path
  }

  static of(text: string): Secret {
    return new Secret(() => text, null)
  }

  /** Throws if the file cannot be read now; one that is away for a moment later is as it was. */
  static inFile(path: string): Secret {
    const secret = new Secret(() => readFileSync(path, 'utf8').trim(), path)
    secret.#known = { value: secret.#read(), at: Date.now() }
    return secret
  }

  get value(): string {
    const now = Date.now()
    if (this.#known !== null && now - this.#known.at < KNOWN_MS) return this.#known.value
    try {
      this.#known = { value: this.#read(), at: now }
    } catch (error) {
      if (this.#known === null) throw error
    }
    return this.#known!.value
  }

  /** The file in which it lies; null: it does not change. */
  get path(): string | null {
    return this.#path
  }

  toString(): string {
    return SHOWN
  }

  toJSON(): string {
    return SHOWN
  }

  [inspect.custom](): string {
    return SHOWN
  }
}

const SHOWN = '[secret]'
/** A request to the index or the registry takes one: not a read of the disk for each. */
const KNOWN_MS = 1_000

/** A setting that is secret. `check` is of its text; what it finds is told without the text. */
export const secretSetting = (check: z.ZodType<unknown, string> = z.string().min(1, 'is empty')) =>
  z
    .custom<Secret>((value) => value instanceof Secret, 'must be text')
    .superRefine((secret, context) => {
      if (!(secret instanceof Secret)) return
      for (const { message } of check.safeParse(secret.value).error?.issues ?? [])
        context.addIssue({ code: 'custom', message })
    })

/** What `loadConfig` and the tables of the pages know a secret by. */
export const SECRET = { secret: true } as const
