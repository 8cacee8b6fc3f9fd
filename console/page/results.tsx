import { useRef } from 'preact/hooks'
import type { SearchHit } from '../../client/client.ts'
import type { Draft } from './draft.ts'
import { HitCard } from './hit-card.tsx'
import { useMotion } from './motion.ts'
import type { Shown } from './view.ts'

export function Results({
  shown: { hits, query, changes },
  isLive,
  isDimmed,
  draftOf,
  edit,
}: {
  shown: Shown
  isLive: boolean
  isDimmed: boolean
  draftOf: (hit: SearchHit) => Draft | null
  edit: (draft: Draft) => void
}) {
  const list = useRef<HTMLOListElement>(null)
  useMotion(list, hits, isLive)
  const news = new Map(changes.map((each) => ['hit' in each ? each.hit.hitId : each.hitId, each.op]))
  const best = Math.max(...hits.map(({ score }) => score))
  return (
    <div class={isDimmed ? 'stage dimmed' : 'stage'}>
      <h2 class="hidden">Results</h2>
      <ol ref={list} class="hits">
        {hits.map((hit, i) => (
          <HitCard
            key={hit.hitId}
            hit={hit}
            rank={i + 1}
            share={best > 0 ? hit.score / best : 0}
            query={query}
            news={news.get(hit.hitId)}
            draft={draftOf(hit)}
            edit={edit}
          />
        ))}
      </ol>
    </div>
  )
}
