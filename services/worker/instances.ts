import type { Observer } from '../../streams/observer.ts'
import { type NamedState, States } from '../../streams/states.ts'

/** Another instance of a processor is another name in metrics and logs, as it is another group. '': the name alone. */
export function named(observer: Observer, instance: string): Observer {
  if (instance === '') return observer
  const name = <E extends { processor: string }>(event: E): E => ({
    ...event,
    processor: `${event.processor}.${instance}`,
  })
  return {
    handled: (event) => observer.handled(name(event)),
    moved: (event) => observer.moved(name(event)),
    retried: (event) => observer.retried(name(event)),
    lost: (event) => observer.lost(name(event)),
    task: (event) => observer.task(name(event)),
  }
}

/** The same states under the name of the instance; one that does not serve stands in nobody's way. */
export function statesOf(instance: string, states: States, serves: () => boolean): States {
  if (instance === '') return states
  const subjectOf = ({ subject }: NamedState): string => `${subject} (${instance})`
  return new States(Date.now, {
    began: (state) =>
      states.raise(state.name, subjectOf(state), state.detail, { blocking: state.blocking && serves() }),
    ended: (state) => states.clear(state.name, subjectOf(state)),
  })
}
