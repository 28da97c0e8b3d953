import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { FastifyInstance } from 'fastify';

const FOLDER = new URL('./assets/', import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Serves styles, scripts and the mark; they are read once. Nothing else lies in the folder. */
export function serveAssets(server: FastifyInstance): void {
  for (const name of readdirSync(FOLDER)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const bytes = readFileSync(new URL(name, FOLDER));
    server.get(`/assets/${name}`, { config: { access: 'public' } }, async (_request, reply) =>
      reply.type(type).send(bytes),
    );
  }
}
