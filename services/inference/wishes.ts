import { z } from 'zod'
import type { Principal } from '../principal.ts'
import type { EmbedWish } from './embed-texts.ts'
import { Refused } from './refused.ts'

/** What a caller may say of a request beside its texts: in headers, in the metadata of gRPC, or as parameters of Open Inference. */
type Headers = Readonly<Record<string, string | string[] | undefined>>

export const PRIORITY_HEADER = 'x-freshet-priority'
export const DEADLINE_HEADER = 'x-freshet-deadline-ms'
export const SESSION_HEADER = 'x-freshet-session'
export const SPACE_HEADER = 'x-freshet-space'

export const priority = z.enum(['interactive', 'bulk'])
export const inputType = z.enum(['query', 'document'])

/** @throws Refused for a header that says what there is not. */
export function wishOf(
  headers: Headers,
  { principal, signal }: { principal: Principal; signal: AbortSignal },
): Omit<EmbedWish, 'model' | 'texts' | 'as' | 'tooLong'> {
  const one = (name: string): string | null => {
    const value = headers[name]
    return typeof value === 'string' && value !== '' ? value.slice(0, 256) : null
  }
  return {
    priority: priorityOf(one(PRIORITY_HEADER)),
    deadlineMs: deadlineOf(one(DEADLINE_HEADER)),
    session: one(SESSION_HEADER),
    space: one(SPACE_HEADER),
    principal,
    signal,
  }
}

export function priorityOf(text: string | null): EmbedWish['priority'] {
  if (text === null) return null
  const { success, data } = priority.safeParse(text)
  if (success) return data
  throw new Refused('bad_request', `${PRIORITY_HEADER}: is ${JSON.stringify(text)}; send interactive or bulk`)
}

function deadlineOf(text: string | null): number | null {
  if (text === null) return null
  const ms = Number(text)
  if (Number.isFinite(ms) && ms > 0) return Math.min(ms, DEADLINE_MS_MAX)
  throw new Refused('bad_request', `${DEADLINE_HEADER}: is ${JSON.stringify(text)}; send ms from now, above 0`)
}

/** A timer takes no more. */
const DEADLINE_MS_MAX = 3_600_000
