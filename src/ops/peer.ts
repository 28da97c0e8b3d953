import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { AddressRange } from '../config/index.js';

/** The proxies whose word about the client is taken. */
export class Proxies {
  readonly #list = new BlockList();
  readonly #empty: boolean;

  constructor(ranges: readonly AddressRange[]) {
    this.#empty = ranges.length === 0;
    for (const { address, prefix, family } of ranges) this.#list.addSubnet(address, prefix, family);
  }

  /** Whether an address (as {@link plainAddress} writes it) is one of them. */
  has(address: string): boolean {
    if (this.#empty || address === '') return false;
    return this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}

/** An address in one form: IPv4 also where a socket for both families writes it as IPv6. */
export function plainAddress(address: string | undefined): string {
  const text = (address ?? '').replace(/%.*$/, '').toLowerCase();
  const mapped = text.startsWith('::ffff:') ? text.slice('::ffff:'.length) : '';
  return isIPv4(mapped) ? mapped : text;
}

/** The address at the other end of the connection. */
export function socketAddress(request: FastifyRequest): string {
  return plainAddress(request.raw.socket.remoteAddress);
}

/**
 * The client's address: that of the connection, or behind a listed proxy the last one in
 * `X-Forwarded-For` that is no listed proxy itself (each proxy adds the address that it saw at the
 * end). Anybody else's header is not looked at.
 */
export function clientAddress(request: FastifyRequest, proxies: Proxies): string {
  const socket = socketAddress(request);
  if (!proxies.has(socket)) return socket;
  const lines = request.raw.headersDistinct['x-forwarded-for'] ?? [];
  const hops = lines.join(',').split(',').reverse();
  for (const hop of hops) {
    const address = plainAddress(hop.trim().replace(/^\[|\](?::\d+)?$/g, ''));
    if (!isIPv4(address) && !isIPv6(address)) break;
    if (!proxies.has(address)) return address;
  }
  return socket;
}

/**
 * What is limited together: an IPv4 address, or the /64 of an IPv6 address, of which one machine can
 * take as many as it likes.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::', 2) as [string?, string?];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(gap).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
