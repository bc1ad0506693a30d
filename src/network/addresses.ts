/**
 * Where an address lies: on this machine or a private network, or in public.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { TokError } from '../base/errors.ts'

const privateHosts = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  privateHosts.addSubnet(network, prefix, 'ipv4')
}
for (const [network, prefix] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const) {
  privateHosts.addSubnet(network, prefix, 'ipv6')
}

/** Names without a dot (containers of one machine) and domains that no public server answers for. */
const PRIVATE_NAME = /^[^.]*$|\.(?:local|localhost|internal|lan|home\.arpa)$/i

/** The host part of an address: an IP address or a name. */
export function hostOf(address: Multiaddr): string {
  return address.getComponents().find(({ name }) => name.startsWith('ip') || name.startsWith('dns'))?.value ?? ''
}

/** True if the address can only be meant within one machine or one private network. */
export function isPrivateAddress(address: Multiaddr): boolean {
  const host = hostOf(address)
  if (isIPv4(host)) return privateHosts.check(host, 'ipv4')
  if (isIPv6(host)) return privateHosts.check(host, 'ipv6')
  return PRIVATE_NAME.test(host)
}

/** Reads a multiaddr. @throws TokError `config_invalid` */
export function parseMultiaddr(text: string): Multiaddr {
  let cause: unknown
  try {
    const address = multiaddr(text)
    if (address.getComponents().length > 0) return address
  } catch (thrown) {
    cause = thrown
  }
  throw new TokError(
    'config_invalid',
    { reason: `"${text}" is not an address such as /ip4/192.0.2.1/tcp/4001` },
    { cause },
  )
}
