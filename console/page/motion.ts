import type { RefObject } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

interface Place {
  readonly top: number
  readonly node: HTMLElement
}

/** Children with `data-hit` glide to their new places; one that comes fades in, and one that leaves fades where it was. */
export function useMotion(list: RefObject<HTMLElement>, hits: readonly unknown[], isOn: boolean): void {
  const places = useRef<ReadonlyMap<string, Place>>(new Map())
  useLayoutEffect(() => {
    const before = places.current
    const after = placesIn(list.current)
    places.current = after
    if (!isOn || before.size === 0 || matchMedia('(prefers-reduced-motion: reduce)').matches) return
    for (const [id, { top, node }] of after) {
      const was = before.get(id)
      if (was === undefined) node.animate(ENTERS, { duration: COMES_MS, easing: EASING })
      else if (was.top !== top)
        node.animate([{ transform: `translateY(${was.top - top}px)` }, { transform: 'none' }], {
          duration: MOVES_MS,
          easing: EASING,
        })
    }
    for (const [id, place] of before) if (!after.has(id)) leave(place, list.current)
  }, [hits])
}

function placesIn(list: HTMLElement | null): Map<string, Place> {
  const nodes = [...(list?.children ?? [])].filter((node) => node instanceof HTMLElement)
  return new Map(
    nodes.flatMap((node) =>
      node.dataset.hit === undefined ? [] : [[node.dataset.hit, { top: node.offsetTop, node }]],
    ),
  )
}

/** A copy of it, since itself is gone. Nobody can reach it, and no reader is told of it. */
function leave({ top, node }: Place, list: HTMLElement | null): void {
  const ghost = node.cloneNode(true) as HTMLElement
  delete ghost.dataset.hit
  ghost.inert = true
  ghost.ariaHidden = 'true'
  ghost.classList.add('ghost')
  ghost.style.top = `${top}px`
  list?.append(ghost)
  void ghost.animate(LEAVES, { duration: COMES_MS, easing: EASING }).finished.finally(() => ghost.remove())
}

const ENTERS = [
  { opacity: 0, transform: 'translateY(-0.5rem) scale(.985)' },
  { opacity: 1, transform: 'none' },
]
const LEAVES = [
  { opacity: 0.85, transform: 'none' },
  { opacity: 0, transform: 'translateX(1.5rem)' },
]
const MOVES_MS = 320
const COMES_MS = 420
const EASING = 'cubic-bezier(.2, .7, .2, 1)'
