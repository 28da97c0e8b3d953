import type { FastifyInstance } from 'fastify';
import type { GatewayContext } from '../context.js';

/**
 * GET /v1/site: the site document, as its root key signed it. Public; revalidated by its version, so
 * that asking often costs little.
 */
export function getSite(server: FastifyInstance, context: GatewayContext): void {
  server.get('/v1/site', { onRequest: [context.limits.address] }, async (request, reply) => {
    const { jws, version } = await context.site.current();
    const etag = `"v${version}"`;
    reply.header('etag', etag).header('cache-control', 'public, max-age=60');
    const known = (request.headers['if-none-match'] ?? '')
      .split(',')
      .map((tag) => tag.trim().replace(/^W\//, ''));
    if (known.includes(etag) || known.includes('*')) return reply.code(304).send();
    return reply.code(200).header('content-type', 'application/jose').send(Buffer.from(jws));
  });
}
