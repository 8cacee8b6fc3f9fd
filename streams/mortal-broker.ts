import type { Broker, GroupConsumer, Producer, TransactionalProducer } from './broker.ts'

/**
 * A broker as one process sees it, which may die: from then on nothing that the process asked for is answered and nothing
 * reaches it, and the group takes its partitions from it. For tests.
 */
export interface MortalBroker extends Broker {
  die(): Promise<void>
}

export function mortalBroker(broker: Broker): MortalBroker {
  let dead = false
  const open: { close(): Promise<void> }[] = []
  const never = new Promise<never>(() => {})

  /** Every method of the object, until death; an answer that comes after it is not heard. */
  const mortal = <T extends object>(one: T): T =>
    new Proxy(one, {
      get(target, name) {
        const member = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return (...args: unknown[]) => {
          if (dead) return never
          const answer = Reflect.apply(member, target, args)
          if (!(answer instanceof Promise)) return answer
          return answer.then(
            (value) => (dead ? never : value),
            (error) => (dead ? never : Promise.reject(error)),
          )
        }
      },
    })
  const kept = <T extends { close(): Promise<void> }>(one: T): T => {
    open.push(one)
    return mortal(one)
  }

  return {
    admin: mortal(broker.admin),
    read: (range) => broker.read(range),
    producer: async (): Promise<Producer> => kept(await broker.producer()),
    transactionalProducer: async (id, options): Promise<TransactionalProducer> =>
      kept(await broker.transactionalProducer(id, options)),
    async consumeGroup({ on, ...options }): Promise<GroupConsumer> {
      const consumer = await broker.consumeGroup({
        ...options,
        on: {
          assigned: (assignment) => (dead ? never : on.assigned(assignment)),
          fetched: (batch) => (dead ? undefined : on.fetched(batch)),
          revoked: (lost) => (dead ? undefined : on.revoked(lost)),
          failed: (error) => (dead ? undefined : on.failed(error)),
        },
      })
      return kept(consumer)
    },
    tail: async (options) =>
      kept(await broker.tail({ ...options, fetched: (batch) => (dead ? undefined : options.fetched(batch)) })),
    close: () => broker.close(),
    async die() {
      dead = true
      await Promise.all(open.map((one) => one.close()))
    },
  }
}
