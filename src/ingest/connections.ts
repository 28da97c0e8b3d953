import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf, plainAddress, type Proxies } from '../ops/peer.js';

/**
 * Bounds the connections of one address, from the first byte of TLS on, so that one machine that
 * opens connections and dribbles cannot take all that the gateway has. Listed proxies are exempt.
 */
export function limitConnections(
  server: Server,
  most: number,
  proxies: Proxies,
  onRefused: (network: string) => void,
): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = plainAddress(socket.remoteAddress);
    if (address === '' || proxies.has(address)) return;
    const network = networkOf(address);
    const count = open.get(network) ?? 0;
    if (count >= most) {
      onRefused(network);
      // A reset: whoever opens too many gets no state kept for an orderly end.
      socket.resetAndDestroy();
      return;
    }
    open.set(network, count + 1);
    socket.once('close', () => {
      const left = (open.get(network) ?? 1) - 1;
      if (left <= 0) open.delete(network);
      else open.set(network, left);
    });
  });
}
