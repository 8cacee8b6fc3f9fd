import { type Stack, type StackOptions, startStack } from './stack.ts'

/** npm and the launcher pass on a Ctrl-C that the terminal has sent us already: two so close together are one. */
const repeatMsMin = 500

/**
 * Runs a stack until Ctrl-C, SIGTERM, SIGHUP, the end of the launcher, or the crash of a part. `work` is called when the stack serves; what it
 * returns ends the run too, with that exit code. Resolves with the exit code (0 after a signal) when nothing runs any more. Rejects if the
 * stack does not start. A second Ctrl-C gives up order and patience.
 */
export async function runStack(
  options: StackOptions,
  work: (stack: Stack, signal: AbortSignal) => Promise<number | undefined> | undefined,
): Promise<number> {
  const abort = new AbortController()
  const hurry = new AbortController()
  const asked = Promise.withResolvers<number>()
  let stack: Stack | null = null
  let lastMs = Number.NEGATIVE_INFINITY
  const ask = () => {
    if (performance.now() - lastMs < repeatMsMin) return
    lastMs = performance.now()
    if (abort.signal.aborted) hurry.abort()
    abort.abort(new Error('stopped by a signal'))
    asked.resolve(0)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, ask)
  process.on('disconnect', ask)
  // Listening for its end keeps the channel to the launcher, and with it this process, alive.
  process.channel?.unref()
  try {
    stack = await startStack({ ...options, signal: abort.signal, hurry: hurry.signal })
    const started = stack
    hurry.signal.addEventListener('abort', () => void started.stop({ hurry: true }))
    const worked = async () => (await work(started, abort.signal)) ?? (await new Promise<number>(() => {}))
    return await Promise.race([worked(), asked.promise, stack.failed.then(() => 1)])
  } catch (error) {
    if (abort.signal.aborted) return 0
    throw error
  } finally {
    abort.abort(new Error('the run has ended'))
    await stack?.stop()
    for (const signal of signals) process.off(signal, ask)
    process.off('disconnect', ask)
  }
}
