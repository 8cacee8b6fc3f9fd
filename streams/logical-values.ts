/**
 * Dates, times and decimals as Kafka Connect, Debezium and Avro write them, made into what people read: ISO 8601 in UTC, and decimals with
 * all their digits. By the name of the type; what is not known here stays what it is.
 */
export type LogicalReader = (value: unknown) => unknown

export function logicalReader(name: string, scale: number): LogicalReader | null {
  const unit = UNITS[name]
  if (unit !== undefined) return (value) => (isInteger(value) ? unit(BigInt(value)) : value)
  if (name === 'org.apache.kafka.connect.data.Decimal' || name === 'decimal')
    return (value) => {
      const bytes = bytesOf(value)
      return bytes === null ? value : decimal(unscaled(bytes), scale)
    }
  if (name === 'io.debezium.data.VariableScaleDecimal')
    return (value) => {
      const { scale: own, value: digits } = (value ?? {}) as { scale?: unknown; value?: unknown }
      const bytes = bytesOf(digits)
      return bytes === null || !isInteger(own) ? value : decimal(unscaled(bytes), Number(own))
    }
  return null
}

/** Two's complement, the greatest first. */
export function unscaled(bytes: Buffer): bigint {
  return bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`))
}

export function decimal(digits: bigint, scale: number): string {
  if (scale <= 0) return (digits * 10n ** BigInt(-scale)).toString()
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0')
  return `${digits < 0n ? '-' : ''}${text.slice(0, -scale)}.${text.slice(-scale)}`
}

export const days = (value: bigint): string => isoOf(value * 86_400_000n)?.slice(0, 10) ?? value.toString()

/** `fraction`: digits of a second that one of them is: 3 for ms, 6 for µs, 9 for ns. */
export const instant =
  (fraction: number) =>
  (value: bigint): string => {
    const perSecond = 10n ** BigInt(fraction)
    const rest = ((value % perSecond) + perSecond) % perSecond
    const second = isoOf(((value - rest) / perSecond) * 1_000n)
    return second === null ? value.toString() : `${second.slice(0, -5)}${fractionOf(rest, fraction)}Z`
  }

const timeOfDay =
  (fraction: number) =>
  (value: bigint): string => {
    const perSecond = 10n ** BigInt(fraction)
    const seconds = value / perSecond
    const two = (part: bigint) => part.toString().padStart(2, '0')
    const clock = `${two(seconds / 3_600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`
    return clock + fractionOf(value % perSecond, fraction)
  }

/** Three digits at least, so that what is in ms looks as JavaScript writes it. */
function fractionOf(rest: bigint, digits: number): string {
  const text = rest.toString().padStart(digits, '0')
  return `.${text.slice(0, 3)}${text.slice(3).replace(/0+$/, '')}`
}

/** null: beyond the years that a date can have, as PostgreSQL's infinity is. */
function isoOf(ms: bigint): string | null {
  const date = new Date(Number(ms))
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}

const UNITS: Readonly<Record<string, (value: bigint) => string>> = {
  date: days,
  'io.debezium.time.Date': days,
  'org.apache.kafka.connect.data.Date': days,
  'timestamp-millis': instant(3),
  'timestamp-micros': instant(6),
  'io.debezium.time.Timestamp': instant(3),
  'io.debezium.time.MicroTimestamp': instant(6),
  'io.debezium.time.NanoTimestamp': instant(9),
  'org.apache.kafka.connect.data.Timestamp': instant(3),
  'time-millis': timeOfDay(3),
  'time-micros': timeOfDay(6),
  'io.debezium.time.Time': timeOfDay(3),
  'io.debezium.time.MicroTime': timeOfDay(6),
  'io.debezium.time.NanoTime': timeOfDay(9),
  'org.apache.kafka.connect.data.Time': timeOfDay(3),
}

const isInteger = (value: unknown): value is number | bigint => typeof value === 'bigint' || Number.isInteger(value)

/** Bytes are base64 in Connect's JSON. */
function bytesOf(value: unknown): Buffer | null {
  if (Buffer.isBuffer(value)) return value
  return typeof value === 'string' ? Buffer.from(value, 'base64') : null
}
