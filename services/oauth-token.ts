import { z } from 'zod'
import { Retry, reasonOf } from '../streams/errors.ts'

interface TokenSource {
  readonly url: string
  readonly id: string
  secret(): string
  readonly scope?: string
}

/** A token by OAuth's client credentials (RFC 6749, 4.4), asked for anew when four fifths of its time are over. */
export function clientCredentials(source: TokenSource, now = Date.now): () => Promise<string> {
  let known: { readonly token: string; readonly until: number } | null = null
  let asking: Promise<string> | null = null
  const ask = async (): Promise<string> => {
    const { access_token: token, expires_in: seconds } = await asked(source)
    known = { token, until: now() + seconds * 800 }
    return token
  }
  return () => {
    if (known !== null && now() < known.until) return Promise.resolve(known.token)
    asking ??= ask().finally(() => {
      asking = null
    })
    return asking
  }
}

const answer = z.object({ access_token: z.string().min(1), expires_in: z.coerce.number().positive().default(60) })

const errorAnswer = z.object({
  error: z.enum([
    'invalid_request',
    'invalid_client',
    'invalid_grant',
    'unauthorized_client',
    'unsupported_grant_type',
    'invalid_scope',
  ]),
})

/** What is thrown names who was asked and what it said, and no secret. */
async function asked({ url, id, secret, scope }: TokenSource): Promise<z.infer<typeof answer>> {
  // RFC 6749, 2.3.1: form-encoded, each by itself, before they go into the header.
  const user = `${encodeURIComponent(id)}:${encodeURIComponent(secret())}`
  const fields = { grant_type: 'client_credentials', ...(scope !== undefined && { scope }) }
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(user).toString('base64')}`, accept: 'application/json' },
      body: new URLSearchParams(fields),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
  } catch (error) {
    throw new Retry(`kafkaOauthTokenUrl ${url} did not answer: ${reasonOf(error)}`)
  }
  const body: unknown = await response.json().catch(() => null)
  if (!response.ok) {
    // A word of RFC 6749, and nothing else that it may have to say: it has just been shown the secret.
    const code = errorAnswer.safeParse(body).data?.error
    throw new Retry(
      `kafkaOauthTokenUrl ${url} gave no token to kafkaOauthClientId ${id}: ${response.status}${code === undefined ? '' : ` ${code}`}`,
    )
  }
  const parsed = answer.safeParse(body)
  if (!parsed.success) throw new Retry(`kafkaOauthTokenUrl ${url} answered without an access_token`)
  return parsed.data
}

const ANSWER_MS_MAX = 5_000
