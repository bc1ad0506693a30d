import { describe, expect, test } from 'vitest'
import { hostOf, isPrivateAddress, parseMultiaddr } from '../../../src/network/addresses.ts'

describe('an address', () => {
  test.each([
    ['/ip4/127.0.0.1/tcp/4001', true],
    ['/ip4/10.1.2.3/tcp/4001', true],
    ['/ip4/172.31.255.255/tcp/4001', true],
    ['/ip4/192.168.0.9/tcp/4001', true],
    ['/ip4/100.64.1.1/tcp/4001', true],
    ['/ip4/169.254.1.1/tcp/4001', true],
    ['/ip6/::1/tcp/4001', true],
    ['/ip6/fd00::1/tcp/4001', true],
    ['/ip6/fe80::1/tcp/4001', true],
    ['/dns4/bootstrap/tcp/4001', true],
    ['/dns4/localhost/tcp/4001', true],
    ['/dns4/tok.svc.cluster.local/tcp/4001', true],
    ['/ip4/172.32.0.1/tcp/4001', false],
    ['/ip4/203.0.113.7/tcp/4001', false],
    ['/ip6/2001:db8::1/tcp/4001', false],
    ['/dns4/bootstrap.example.org/tcp/4001', false],
  ])('%s: private %s', (address, expected) => {
    expect(isPrivateAddress(parseMultiaddr(address))).toBe(expected)
  })

  test('has a host, whatever follows', () => {
    const peer = '12D3KooWQa6vVpdiaZvE5jhGqVRzpQC1Zix3KfGm5QpjMCFVQYCp'
    expect(hostOf(parseMultiaddr(`/ip4/192.0.2.1/tcp/4001/p2p/${peer}`))).toBe('192.0.2.1')
  })

  test.each(['', 'somewhere', '192.0.2.1:4001', '/ip4/300.1.1.1/tcp/1'])('is refused when it is none: "%s"', (text) => {
    expect(() => parseMultiaddr(text)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
  })
})
