import { generatePrivateKey, OpeningKeys, publicPart } from '../../src/jose/index.js';

/** One key of each kind, made once per test file. RSA with 2048 bits, to be quick. */
export async function testKeys() {
  const [rsa, ecdh, signing, otherSigning] = await Promise.all([
    generatePrivateKey('RSA-OAEP-256', 2048),
    generatePrivateKey('ECDH-ES+A256KW'),
    generatePrivateKey('ES256'),
    generatePrivateKey('ES256'),
  ]);
  return {
    rsa,
    ecdh,
    signing,
    otherSigning,
    opening: await OpeningKeys.from([rsa, ecdh]),
    sealingTo: { 'RSA-OAEP-256': publicPart(rsa), 'ECDH-ES+A256KW': publicPart(ecdh) },
  };
}

/** base64url of a text or of JSON. */
export function b64(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return Buffer.from(text, 'utf8').toString('base64url');
}

/** The header of a compact token. */
export function headerOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as Record<string, unknown>;
}

/** A token with one part replaced. */
export function withPart(token: string, index: number, part: string): string {
  return token
    .split('.')
    .map((old, i) => (i === index ? part : old))
    .join('.');
}
