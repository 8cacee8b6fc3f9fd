/** Loaded before a process of ours: its clock is off by TEST_CLOCK_SHIFT_MS. */
const shiftMs = Number(process.env.TEST_CLOCK_SHIFT_MS ?? 0)
const RealDate = Date
const now = () => RealDate.now() + shiftMs

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given) => new target(...((given.length === 0 ? [now()] : given) as [number])),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
})
