import { Fatal } from './errors.ts'
import type { Processor } from './processor.ts'
import { groupOf, type Runner, type Runtime, runProcessor } from './runner.ts'
import { nameIn, type Scope, type Topic } from './topic.ts'

/** A processor with what it needs of the world. */
export interface Stage {
  readonly processor: Processor<unknown>
  readonly ports: unknown
  /** Tells it from other runs of the same processor; each has a group of its own. */
  readonly instance?: string
}

export function stage<Ports>(processor: Processor<Ports>, ports: Ports, instance = ''): Stage {
  return { processor: processor as Processor<unknown>, ports, instance }
}

/** What is wrong with the declarations; empty when nothing is. */
export function faultsOf(processors: readonly Processor<never>[]): string[] {
  const faults: string[] = []
  const names = new Set<string>()
  for (const { name, from, to, batch, watermark, onReject, lanesMax = 1, transactional, admit } of processors) {
    if (names.has(name)) faults.push(`${name}: two processors have this name`)
    names.add(name)
    if (!/^[a-z]+(-[a-z]+)+$/.test(name)) faults.push(`${name}: a processor is called verb-topic, in small letters`)
    if (from.length === 0) faults.push(`${name}: reads no topic`)
    if (batch.recordsMax < 1 || batch.bytesMax < 1) faults.push(`${name}: the bounds of a batch must be above 0`)
    if (onReject === 'erase' && to.length === 0)
      faults.push(`${name}: erases on rejection and declares no topic to erase in`)
    if (watermark?.kind === 'carried' && !to.includes(watermark.topic))
      faults.push(`${name}: carries its watermark in ${watermark.topic.name}, which it does not declare`)
    if (watermark?.kind === 'carried' && watermark.topic.lowSchema === undefined)
      faults.push(`${name}: ${watermark.topic.name} has no schema for progress records`)
    if (watermark?.kind === 'carried' && (from[0]!.partitions !== 'shared' || watermark.topic.partitions !== 'shared'))
      faults.push(
        `${name}: a watermark is carried from partition n to partition n, so both topics must share their partitions`,
      )
    if ((watermark?.kind === 'published' || transactional) && lanesMax !== 1)
      faults.push(`${name}: needs lanesMax 1, since it tells how far it has come`)
    if (admit !== undefined && lanesMax !== 1)
      faults.push(`${name}: needs lanesMax 1, since it admits records in their order`)
    if (from.some((topic) => to.includes(topic))) faults.push(`${name}: reads what it writes`)
  }
  return faults
}

/** The topology in words, one line for each processor. */
export function describeTopology(processors: readonly Processor<never>[], scope: Scope, instance = ''): string[] {
  const list = (topics: readonly Topic[]) => topics.map((topic) => nameIn(scope, topic)).join(', ')
  return processors.map(
    (processor) =>
      `${list(processor.from)} → ${processor.name} → ${list(processor.to)} (group ${groupOf(scope, processor, instance)})`,
  )
}

/** Registers the schemas and runs all stages. */
export async function runTopology(stages: readonly Stage[], runtime: Runtime): Promise<Runner[]> {
  const processors = stages.map(({ processor }) => processor)
  const faults = faultsOf([...new Set(processors)])
  if (faults.length > 0) throw new Fatal(`the topology is wrong: ${faults.join('; ')}`)
  await runtime.serde.register([...new Set([...processors.flatMap(topicsOf), runtime.deadLetters])])
  return Promise.all(stages.map(({ processor, ports, instance }) => runProcessor(processor, ports, runtime, instance)))
}

const topicsOf = ({ to, transactional }: Processor<unknown>): Topic[] => [
  ...to,
  ...(transactional ? [transactional.positions] : []),
]
