/** What a key's document is after a write: the mark that its text has; null: it is not to be found, since it was deleted or rejected. */
export type Content = string | null

/** One write, as its publisher knows it. */
export interface Write {
  readonly key: string
  /** Where Kafka has it; null: that was never told, and it may be there or not. */
  readonly position: Position | null
  readonly content: Content
  /** ms, of one clock. */
  readonly sentAt: number
}

export interface Position {
  readonly partition: number
  readonly offset: number
}

/** One answer about one key, as its reader got it. */
export interface Read {
  readonly key: string
  /** Who asked whom, for whoever looks at a finding. */
  readonly what: string
  /** What it had to have; null: nothing was promised. */
  readonly after: Position | null
  /** What the answer says that it has: everything up to this offset, by partition. */
  readonly asOf: ReadonlyMap<number, number>
  /** The different marks that its hits have of this key. */
  readonly found: readonly string[]
  /** On the clock of `sentAt`. */
  readonly answeredAt: number
}

export interface Verdict {
  /** In words. */
  readonly stale: readonly string[]
  /** Answers that promised to have at least one write of their key, and were compared with what it made of it. */
  readonly compared: number
  /** Of these, promised by `after`. */
  readonly satisfied: number
}

/**
 * An answer must show its key as the newest write that it has to have left it, or as a later one that was sent before it came. It has to have what
 * `after` stands for, and what it says itself in `asOf`.
 */
export function judge(writes: readonly Write[], reads: readonly Read[]): Verdict {
  const histories = Map.groupBy(writes, ({ key }) => key)
  const stale: string[] = []
  let compared = 0
  let satisfied = 0
  for (const read of reads) {
    const { key, what, after, found, answeredAt } = read
    const history = (histories.get(key) ?? []).filter(({ sentAt }) => sentAt <= answeredAt)
    const from = Math.max(
      after?.offset ?? -1,
      ...history.flatMap((write) => (claims(read, write) ? [write.position!.offset] : [])),
    )
    if (from >= 0) compared++
    if (after !== null) satisfied++
    if (found.length > 1) {
      stale.push(`${what}: ${key} is shown as ${found.join(' and ')} at the same time`)
      continue
    }
    const possible = history.filter(({ position }) => position === null || position.offset >= from)
    const shown = found[0] ?? null
    if (possible.some(({ content }) => content === shown) || (from < 0 && shown === null)) continue
    const wanted = possible.map(
      ({ content, position }) => `${content ?? 'nothing'} (${position?.offset ?? 'in doubt'})`,
    )
    stale.push(`${what}: ${key} is shown as ${shown ?? 'nothing'}, and as of ${from} it is ${wanted.join(' or ')}`)
  }
  return { stale, compared, satisfied }
}

const claims = ({ asOf }: Read, { position }: Write): boolean =>
  position !== null && position.offset <= (asOf.get(position.partition) ?? -1)
