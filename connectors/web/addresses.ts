import { type LookupAddress, lookup as lookUp } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/**
 * Addresses that are not of the public internet: who gives us an address of a feed is not to reach what only we can reach (RFC 6890 and the
 * registries of IANA that it began). Checked when a connection is made, so that a name cannot mean another address by then.
 */
export function isPrivate(address: string): boolean {
  return privateRanges.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

const privateRanges = new BlockList()
for (const range of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  '::1/128',
  // Those that hold an IPv4 address: of which kind it is, only whoever translates it knows.
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]) {
  const [net = '', bits] = range.split('/')
  privateRanges.addSubnet(net, Number(bits), isIP(net) === 6 ? 'ipv6' : 'ipv4')
}

/** Why nobody goes to this address; null: it is public, or is a name that `publicLookup` will look at. */
export function faultOfHost({ hostname }: URL): string | null {
  const host = hostname.replace(/^\[|\]$/g, '')
  return isIP(host) !== 0 && isPrivate(host) ? refusal(host, host) : null
}

/** As `dns.lookup`, but for names that mean a private address. */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookUp(hostname, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, '')
    const addresses = found as LookupAddress[]
    const inside = addresses.find(({ address }) => isPrivate(address))
    if (inside !== undefined) return callback(new Error(refusal(hostname, inside.address)), '')
    if (options.all) return (callback as unknown as (e: null, all: LookupAddress[]) => void)(null, addresses)
    const [first] = addresses
    callback(null, first!.address, first!.family)
  })
}

const refusal = (host: string, address: string): string =>
  `${host} is ${host === address ? '' : `${address}, `}a private address; give --allow-private if it is meant`
