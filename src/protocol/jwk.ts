/** A public key as a JWK (RFC 7517), reduced to what mpe uses. */
export interface PublicJwk {
  readonly kty: 'RSA' | 'EC';
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  /** The one algorithm this key is for. */
  readonly alg: KeyAlgorithm;
  readonly n?: string;
  readonly e?: string;
  readonly crv?: 'P-256';
  readonly x?: string;
  readonly y?: string;
}

/** A private key as a JWK. Never logged, never queued. */
export interface PrivateJwk extends PublicJwk {
  readonly d: string;
  readonly p?: string;
  readonly q?: string;
  readonly dp?: string;
  readonly dq?: string;
  readonly qi?: string;
}

/** One key, one algorithm. */
export const KEY_ALGORITHMS = ['RSA-OAEP-256', 'ECDH-ES+A256KW', 'ES256'] as const;
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];
