import { createHmac, createPrivateKey, sign } from 'node:crypto';
import type { PrivateJwk } from '../protocol/jwk.js';
import type { Forge } from './fixture-schema.js';

/** A way of getting a signature wrong. */
export type JwsForge = Exclude<NonNullable<Forge['jws']>, 'none'> | 'no fault';

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * A compact JWS with exactly one fault (or none). Made with node:crypto, because src/jose refuses to make such
 * tokens and node-jose would put some of them right.
 */
export function forgeJws(
  payload: Uint8Array,
  key: PrivateJwk,
  stranger: PrivateJwk,
  forge: JwsForge,
  typ: 'mpe-msg+jws' | 'mpe-reg+jws' = 'mpe-msg+jws',
): string {
  const good = { alg: 'ES256', kid: key.kid, typ };
  const es256 = (input: string, by: PrivateJwk, dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363'): string =>
    sign('sha256', Buffer.from(input), {
      key: createPrivateKey({ key: { ...by }, format: 'jwk' }),
      dsaEncoding,
    }).toString('base64url');
  const token = (header: object, body: Uint8Array = payload, by = key): string => {
    const input = `${part(header)}.${Buffer.from(body).toString('base64url')}`;
    return `${input}.${es256(input, by)}`;
  };
  switch (forge) {
    // For payloads that src/jose refuses to sign.
    case 'no fault':
      return token(good);
    case 'alg-none':
      return `${part({ ...good, alg: 'none' })}.${Buffer.from(payload).toString('base64url')}.`;
    case 'alg-hs256': {
      const input = `${part({ ...good, alg: 'HS256' })}.${Buffer.from(payload).toString('base64url')}`;
      const secret = Buffer.concat([
        Buffer.from(key.x ?? '', 'base64url'),
        Buffer.from(key.y ?? '', 'base64url'),
      ]);
      return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
    }
    case 'der-signature': {
      const input = `${part(good)}.${Buffer.from(payload).toString('base64url')}`;
      return `${input}.${es256(input, key, 'der')}`;
    }
    case 'signature-flipped': {
      const [header, body, signature] = token(good).split('.');
      const bytes = Buffer.from(signature ?? '', 'base64url');
      bytes[10] = (bytes[10] ?? 0) ^ 1;
      return [header, body, bytes.toString('base64url')].join('.');
    }
    case 'payload-swapped': {
      const [header, , signature] = token(good, Buffer.from('another payload')).split('.');
      return [header, Buffer.from(payload).toString('base64url'), signature].join('.');
    }
    case 'kid-missing':
      return token({ alg: good.alg, typ: good.typ });
    case 'typ-wrong':
      return token({ ...good, typ: 'mpe-reg+jws' });
    case 'crit':
      return token({ ...good, crit: ['exp'], exp: 1 });
    case 'b64-false':
      return token({ ...good, crit: ['b64'], b64: false });
    case 'jwk-header':
      return token(
        { ...good, jwk: { kty: 'EC', crv: 'P-256', x: stranger.x, y: stranger.y } },
        payload,
        stranger,
      );
    case 'signed-by-stranger':
      return token(good, payload, stranger);
    case 'four-parts':
      return `${token(good)}.AAAA`;
  }
}
