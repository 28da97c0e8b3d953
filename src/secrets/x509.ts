/**
 * What making both kinds of certificate shares. @peculiar/x509 works on the runtime's own web crypto;
 * only `mpe site init` loads it, reading needs `node:crypto` alone.
 */
import { webcrypto, type KeyObject } from 'node:crypto';
// tsyringe, under @peculiar/x509, needs this polyfill first.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

export { x509 };

/** A private key as PEM, PKCS #8. */
export function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A certificate as PEM, with a line end at its end. */
export function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

const DAY_MS = 86_400_000;

/** A key pair in web crypto's form, for signing certificates. */
export async function signingPair(key: KeyObject): Promise<{
  readonly pair: webcrypto.CryptoKeyPair;
  readonly algorithm: webcrypto.RsaHashedImportParams | webcrypto.EcKeyImportParams;
}> {
  const { subtle } = webcrypto;
  const algorithm =
    key.asymmetricKeyType === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const jwk = key.export({ format: 'jwk' }) as webcrypto.JsonWebKey;
  const publicJwk: webcrypto.JsonWebKey =
    key.asymmetricKeyType === 'rsa'
      ? { kty: 'RSA', n: jwk.n ?? '', e: jwk.e ?? '' }
      : { kty: 'EC', crv: 'P-256', x: jwk.x ?? '', y: jwk.y ?? '' };
  const privateKey = await subtle.importKey('jwk', jwk, algorithm, true, ['sign']);
  const publicKey = await subtle.importKey('jwk', publicJwk, algorithm, true, ['verify']);
  return { pair: { privateKey, publicKey }, algorithm };
}

/**
 * A validity that holds by the real clock and by a shifted one: TLS looks at the real clock, also
 * on a test site whose clock is shifted.
 */
export function validity(
  nowMs: number,
  years: number,
): { readonly notBefore: Date; readonly notAfter: Date } {
  const real = Date.now();
  const wholeSecond = (ms: number): Date => new Date(Math.floor(ms / 1_000) * 1_000);
  return {
    notBefore: wholeSecond(Math.min(nowMs, real) - DAY_MS),
    notAfter: wholeSecond(Math.max(nowMs, real) + years * 365 * DAY_MS),
  };
}
