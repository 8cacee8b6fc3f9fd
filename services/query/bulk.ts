import { isUtf8 } from 'node:buffer'
import type { z } from 'zod'
import { tokenOf } from '../../search/freshness.ts'
import { visibilityOf } from '../../search/visibility.ts'
import type { Clock } from '../../streams/clock.ts'
import { Reject, reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import type { bulkAnswer } from './answers.ts'
import { LINE_BYTES_MAX, type Line } from './bulk-lines.ts'
import { shapeFault } from './json-shape.ts'
import { checkScope, overQuotaError, type Quotas } from './operations.ts'
import { faultsIn, itemSchemaOf, LIMITS, OperationError, type PublishItem } from './protocol.ts'
import { costOf, noticesOf, type PublishPorts, recordOf, undeclaredOf, write } from './publishing.ts'

export type BulkReport = z.infer<typeof bulkAnswer>

export interface BulkWish {
  readonly ack: 'accepted' | 'indexed'
  readonly timeoutMs: number
}

export interface BulkPorts extends PublishPorts {
  readonly quotas: Quotas
  readonly clock: Clock
  /** What keeps the service from going on; null if nothing does. */
  missing(): string | null
}

/** What became of the lines, and why it went no further, where it did not come to the end. */
export interface Bulk {
  readonly report: BulkReport
  readonly stopped: OperationError | null
}

/**
 * Documents and deletions, one on a line, written in batches as they come; the next lines are read when Kafka has these. A line that is not
 * good is told and left out. Over its quota it waits. What is written stays written, whatever comes after.
 */
export async function publishBulk(
  lines: AsyncIterable<readonly Line[]>,
  { ack, timeoutMs }: BulkWish,
  by: Principal,
  ports: BulkPorts,
  signal: AbortSignal,
): Promise<Bulk> {
  const told = { through: 0, written: 0, deleted: 0, faulty: 0, faults: [] as BulkReport['faults'] }
  /** By partition, the last that was written. */
  const written: Record<number, number> = {}
  const undeclared = new Set<string>()
  let epoch = ports.platform.epoch
  const token = () => tokenOf({ epoch, documents: written })
  const stop = (stopped: OperationError | null): Bulk => ({
    report: { ...told, token: token(), ...noticesOf([...undeclared]) },
    stopped,
  })

  const flush = async (batch: readonly Good[], through: number): Promise<void> => {
    if (batch.length > 0) {
      await admitted(batch, by, ports, signal)
      for (const { good, reason, positions } of await writeAll(batch, by, ports)) {
        if (reason !== null) fault(good, reason)
        else if ('delete' in good.item) told.deleted++
        else {
          told.written++
          for (const name of undeclaredOf([good.item], ports))
            if (undeclared.size < UNDECLARED_KEPT_MAX) undeclared.add(name)
        }
        // Of a topic that is not there any more, nothing is waited for.
        if (positions.epoch !== epoch) for (const partition of Object.keys(written)) delete written[Number(partition)]
        epoch = positions.epoch
        for (const [partition, offsets] of Object.entries(positions.documents))
          written[Number(partition)] = Math.max(written[Number(partition)] ?? -1, ...[offsets].flat())
      }
    }
    told.through = through
  }
  const fault = ({ line, id }: { readonly line: number; readonly id?: string }, reason: string): void => {
    told.faulty++
    if (told.faults.length >= FAULTS_TOLD_MAX) return
    told.faults.push({
      line,
      ...(id !== undefined && { id: id.slice(0, 512) }),
      reason: reason.slice(0, REASON_CHARS_MAX),
    })
  }

  try {
    visibilityOf(by)
    checkScope('publish', by)
    for await (const group of lines) {
      let batch: Good[] = []
      let bytes = 0
      for (const line of group) {
        const read = readLine(line, by, ports)
        if (read === null) continue
        if ('reason' in read) fault(read, read.reason)
        else {
          batch.push(read)
          bytes += line.bytes!.length
        }
        if (batch.length < LIMITS.documentsMax && bytes < BATCH_BYTES_MAX) continue
        await flush(batch, line.number)
        batch = []
        bytes = 0
      }
      await flush(batch, group.at(-1)!.number)
    }
    if (told.through === 0) throw new OperationError('bad_request', `the body has no lines; ${HOW}`)
    if (ack === 'indexed') await ports.freshness.after(token(), timeoutMs, by, signal)
    return stop(null)
  } catch (error) {
    if (signal.aborted) return stop(new OperationError('cancelled', 'the client is gone'))
    if (error instanceof OperationError) return stop(error)
    throw error
  }
}

/** Names, in the order that they came in. */
const UNDECLARED_KEPT_MAX = 1_000

interface Good {
  readonly line: number
  readonly id: string
  readonly item: PublishItem
  readonly record: ReturnType<typeof recordOf>
}

interface Faulty {
  readonly line: number
  readonly id?: string
  readonly reason: string
}

/** null: there is nothing on the line. */
function readLine({ number: line, bytes }: Line, by: Principal, ports: PublishPorts): Good | Faulty | null {
  if (bytes === null) return { line, reason: `the line is larger than ${LINE_BYTES_MAX} bytes; split the document` }
  if (!isUtf8(bytes)) return { line, reason: 'the line is not UTF-8' }
  const text = bytes.toString('utf8').trim()
  if (text === '') return null
  const shape = shapeFault(text)
  if (shape !== null) return { line, reason: `the line ${shape}` }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { line, reason: `the line is not JSON; ${HOW}` }
  }
  const parsed = itemSchemaOf(json).safeParse(json)
  if (!parsed.success) {
    const id = (json as { id?: unknown } | null)?.id
    return { line, ...(typeof id === 'string' && { id }), reason: faultsIn(parsed.error, json) }
  }
  const item = parsed.data
  try {
    return { line, id: item.id, item, record: recordOf(item, by, ports) }
  } catch (error) {
    if (error instanceof Reject) return { line, id: item.id, reason: reasonOf(error) }
    throw error
  }
}

/** Resolves when the quota has room for it. What waits here is not read from the client. */
async function admitted(
  batch: readonly Good[],
  by: Principal,
  { quotas, clock, missing }: BulkPorts,
  signal: AbortSignal,
): Promise<void> {
  const cost = costOf(batch.map(({ item }) => item))
  const until = clock.now() + QUOTA_WAIT_MS_MAX
  for (;;) {
    const stopping = missing()
    if (stopping !== null)
      throw new OperationError('unavailable', `the service is ${stopping}; send what is left again`, {
        retryAfterMs: 1_000,
      })
    const over = quotas.publishing(by, cost)
    if (over === null) return
    if (clock.now() + over.taken.retryAfterMs > until) throw overQuotaError(over)
    await clock.wait(Math.min(over.taken.retryAfterMs, LOOK_EVERY_MS), signal)
    if (signal.aborted) throw new OperationError('cancelled', 'the client is gone')
  }
}

type Written = Awaited<ReturnType<typeof write>>

/** Kafka refuses records together: then which of them is too large is found by sending them one by one. */
async function writeAll(
  batch: readonly Good[],
  by: Principal,
  ports: PublishPorts,
): Promise<readonly { readonly good: Good; readonly reason: string | null; readonly positions: Written }[]> {
  try {
    const positions = await write(
      batch.map(({ record }) => record),
      by,
      ports,
    )
    return batch.map((good) => ({ good, reason: null, positions }))
  } catch (error) {
    if (!(error instanceof OperationError) || error.code !== 'rejected') throw error
    if (batch.length === 1) {
      const positions = { epoch: ports.platform.epoch, documents: {} }
      return [{ good: batch[0]!, reason: error.message, positions }]
    }
  }
  const each = []
  for (const good of batch) each.push(...(await writeAll([good], by, ports)))
  return each
}

const HOW = 'send one JSON object on each line (with curl: --data-binary)'
/** Faults that are told; the others are only counted. */
export const FAULTS_TOLD_MAX = 100
const REASON_CHARS_MAX = 500
const BATCH_BYTES_MAX = 1024 * 1024
/** How long one batch waits for its quota. A full bucket admits every batch, so this is about others of the tenant who publish too. */
export const QUOTA_WAIT_MS_MAX = 30_000
const LOOK_EVERY_MS = 1_000
