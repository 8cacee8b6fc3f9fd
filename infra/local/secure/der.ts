/** As much of ASN.1's distinguished encoding as a certificate needs. */
export type Der = Buffer

const tagged = (tag: number, content: Buffer): Der => Buffer.concat([Buffer.from([tag]), lengthOf(content), content])

function lengthOf({ length }: Buffer): Buffer {
  if (length < 128) return Buffer.from([length])
  const bytes = Buffer.from(length.toString(16).padStart(length < 256 ? 2 : length < 65_536 ? 4 : 6, '0'), 'hex')
  return Buffer.concat([Buffer.from([128 + bytes.length]), bytes])
}

export const sequence = (...of: readonly Der[]): Der => tagged(0x30, Buffer.concat(of))
export const setOf = (of: Der): Der => tagged(0x31, of)
export const octets = (content: Buffer): Der => tagged(0x04, content)
export const bits = (content: Buffer, unused = 0): Der => tagged(0x03, Buffer.concat([Buffer.from([unused]), content]))
export const yes: Der = Buffer.from([0x01, 0x01, 0xff])
export const text = (value: string): Der => tagged(0x0c, Buffer.from(value, 'utf8'))
/** Context-specific: `[n]` around something, or in the place of a simple one's tag. */
export const around = (n: number, content: Der): Der => tagged(0xa0 + n, content)
export const inPlace = (n: number, content: Buffer): Der => tagged(0x80 + n, content)

/** Of a number that is not negative, big-endian. */
export function integer(bytes: Buffer): Der {
  let from = 0
  while (from < bytes.length - 1 && bytes[from] === 0) from++
  const short = bytes.subarray(from)
  return tagged(0x02, short[0]! >= 128 ? Buffer.concat([Buffer.from([0]), short]) : short)
}

/** `1.2.840.10045.4.3.2` */
export function objectId(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const groups = [first * 40 + second, ...rest].map((value) => {
    const septets = [value & 127]
    for (let left = value >>> 7; left > 0; left >>>= 7) septets.unshift((left & 127) | 128)
    return Buffer.from(septets)
  })
  return tagged(0x06, Buffer.concat(groups))
}

/** As RFC 5280 wants it: two digits for the year until 2049. */
export function time(at: Date): Der {
  const digits = `${at.toISOString().replace(/[-:T]|\.\d+/g, '')}`
  return at.getUTCFullYear() < 2050 ? tagged(0x17, Buffer.from(digits.slice(2))) : tagged(0x18, Buffer.from(digits))
}
