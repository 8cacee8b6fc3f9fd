/** What has a time; of the same time, what came first is first. */
export interface Timed {
  readonly at: number
  readonly order: number
}

/** A binary heap in an array: the earliest is first. */
export function push<E extends Timed>(heap: E[], event: E): void {
  let i = heap.push(event) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!isBefore(event, heap[parent]!)) break
    heap[i] = heap[parent]!
    i = parent
  }
  heap[i] = event
}

export function pop<E extends Timed>(heap: E[]): E | null {
  const first = heap[0]
  if (first === undefined) return null
  const last = heap.pop()!
  if (heap.length === 0) return first
  let i = 0
  for (;;) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (!isBefore(heap[child]!, last)) break
    heap[i] = heap[child]!
    i = child
  }
  heap[i] = last
  return first
}

const isBefore = (a: Timed, b: Timed): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
