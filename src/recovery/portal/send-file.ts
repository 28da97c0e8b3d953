import type { FastifyReply } from 'fastify';

/** Sends a file to be saved, never opened in the browser and never kept by it. */
export async function sendFile(
  reply: FastifyReply,
  name: string,
  type: string,
  content: string | Uint8Array,
): Promise<FastifyReply> {
  const safe = name.replaceAll(/[^\w .-]/g, '_');
  return reply
    .header('content-disposition', `attachment; filename="${safe}"`)
    .type(type)
    .send(typeof content === 'string' ? content : Buffer.from(content));
}
