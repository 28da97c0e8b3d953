import { connect } from 'node:tls';
import type { TestGateway } from '../ingest/support.js';
import type { FuzzTarget } from './target.js';

/** How long an answer or the end of the connection may take. */
const ANSWER_MS = 60_000;

/**
 * The live gateway over TLS, byte for byte: whatever arrives, it answers with a status that is no
 * 500, or hangs up, and it goes on serving.
 */
export async function gatewayTarget(gateway: TestGateway): Promise<FuzzTarget> {
  const client = await gateway.register();
  const envelope = await gateway.envelope(client.clientId);
  const proof = await gateway.proof(client);
  const request = (line: string, headers: readonly string[], body: Uint8Array = Buffer.alloc(0)): Buffer =>
    Buffer.concat([
      Buffer.from(
        [`${line} HTTP/1.1`, 'host: localhost', 'connection: close', ...headers, '', ''].join('\r\n'),
      ),
      body,
    ]);
  const type = 'content-type: application/protobuf';
  const authorization = `authorization: ${client.authorization}`;
  return {
    name: 'gateway-http',
    seeds: [
      request(
        'POST /v1/messages',
        [type, authorization, 'prefer: wait=0', `content-length: ${envelope.length}`],
        envelope,
      ),
      request('POST /v1/token', [type, `content-length: ${proof.length}`], proof),
      request('POST /v1/clients', [type, 'content-length: 4'], Buffer.from([0x0a, 2, 65, 66])),
      request('GET /v1/messages/8637036e-b379-4798-bd9e-5a0b36296de3', [authorization]),
      request('GET /v1/token/nonce', []),
      request('GET /v1/site', ['accept: application/jose', 'if-none-match: "1"']),
    ],
    words: [
      ...['\r\n', '\r\n\r\n', '\n', '\0', ' ', ':', 'HTTP/1.1', 'HTTP/9.9', 'transfer-encoding: chunked\r\n'],
      ...['content-length: 0\r\n', 'content-length: 99999999999999999999\r\n', 'expect: 100-continue\r\n'],
      ...[
        'content-encoding: gzip\r\n',
        'prefer: wait=999999999999\r\n',
        '/../../',
        '%00',
        '%',
        '?a=1',
        '/v1/messages/',
      ],
      ...[
        'authorization: Bearer \r\n',
        'Bearer ',
        'x: '.concat('y'.repeat(4096), '\r\n'),
        'upgrade: websocket\r\n',
      ],
    ],
    async run(input) {
      const answer = await exchange(gateway, input);
      if (answer.length > 0) {
        const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer.toString('latin1'))?.[1];
        if (status === undefined) throw new Error(`no status line: ${answer.toString('latin1', 0, 80)}`);
        if (status === '500') throw new Error(`a 500: ${answer.toString('latin1', 0, 400)}`);
      }
      if ((await gateway.ops('/healthz')).status !== 200)
        throw new Error('the gateway is not alive any more');
    },
  };
}

/** All that comes back until the other side, or we after our last byte, end the connection. */
function exchange(gateway: TestGateway, input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host: '127.0.0.1', port: gateway.gateway.port, rejectUnauthorized: false });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`neither an answer nor an end within ${ANSWER_MS} ms`));
    }, ANSWER_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks));
    };
    socket.once('secureConnect', () => {
      socket.end(input);
    });
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    // A reset after a refusal is an end like any other.
    socket.once('error', done);
    socket.once('close', done);
  });
}
