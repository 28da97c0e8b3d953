import type { FastifyInstance } from 'fastify';
import { encodeNonceReply } from '../../protocol/site-token.js';
import { NONCE_SECONDS } from '../../queue/index.js';
import type { GatewayContext } from '../context.js';
import { requireQueue } from '../guards.js';
import { HttpProblem } from '../problems.js';
import { sendProtobuf } from '../respond.js';

/** GET /v1/token/nonce: 32 random bytes, good once for 60 seconds, at any gateway of the site. */
export function getNonce(server: FastifyInstance, context: GatewayContext): void {
  server.get(
    '/v1/token/nonce',
    { onRequest: [context.limits.address, requireQueue(context)] },
    async (request, reply) => {
      if (!context.strangers.nonces.take()) {
        throw new HttpProblem('RATE_LIMITED', 'Too many nonces. Send the same request again later.');
      }
      const nonce = await context.nonces.issue();
      return sendProtobuf(request, reply, 200, encodeNonceReply({ nonce, lifetimeSeconds: NONCE_SECONDS }));
    },
  );
}
