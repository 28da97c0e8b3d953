import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { dropsSentChain } from '../../src/ops/sent-chain.js';
import { TestCa } from '../support/pki.js';

test('what is said of this Node holds: its TLS server loses the intermediate that a client sends, or not', async () => {
  const root = await TestCa.create('CN=Test Root');
  const issuing = await TestCa.create('CN=Test Issuing', { parent: root });
  const [own, client] = [await root.server(), await issuing.issue({ cn: 'client' })];
  const server = createServer({ cert: own.pem, key: own.keyPem, ca: root.pem, requestCert: true });
  const seen = new Promise<string | undefined>((resolve, reject) => {
    server.on('tlsClientError', reject);
    server.on('secureConnection', (socket: TLSSocket) => {
      const { issuerCertificate } = socket.getPeerCertificate(true);
      resolve((issuerCertificate as typeof issuerCertificate | undefined)?.subject.CN as string | undefined);
      socket.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({
    ...{ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca: root.pem },
    ...{ cert: [client.pem, issuing.pem].join('\n'), key: client.keyPem },
  });
  socket.on('error', () => undefined);
  socket.resume();
  try {
    expect(await seen).toBe(dropsSentChain() ? undefined : 'Test Issuing');
  } finally {
    socket.destroy();
    server.close();
  }
});

test('the releases that lose it are known', () => {
  const versions = ['20.19.0', '22.23.3', '24.20.0', '24.21.0', '24.22.1', '26.7.0', '26.8.2', '26.9.0'];
  expect(versions.filter((version) => dropsSentChain(version))).toEqual(['24.21.0', '26.8.2']);
});
