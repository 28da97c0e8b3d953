/**
 * The one table of the tokens that mpe takes: their form, algorithms, exact header names and sizes.
 * The guard reads nothing else, and the functions that make tokens are held against it.
 */

/** Tokens that are encrypted. */
export type JweType = 'mpe-env' | 'mpe-dk' | 'mpe-sk' | 'mpe-reply';
/** Tokens that are signed. */
export type JwsType =
  | 'mpe-msg+jws'
  | 'mpe-reg+jws'
  | 'mpe-token+jws'
  | 'mpe-site+jws'
  | 'mpe-root+jws'
  | 'mpe-access+jwt'
  | 'mpe-audit+jws';
/** The exact `typ` header of a token. */
export type TokenType = JweType | JwsType;

/** Every algorithm that can stand in an `alg` header. */
export type TokenAlgorithm = 'RSA-OAEP-256' | 'ECDH-ES+A256KW' | 'A256KW' | 'dir' | 'ES256';

/** The only content encryption. */
export const CONTENT_ENCRYPTION = 'A256GCM';

/** What follows from an `alg`. */
export interface AlgorithmRule {
  /** The header names, all of them required, no other allowed. */
  readonly names: readonly string[];
  /** Least and most bytes of the encrypted key; absent for signatures. */
  readonly encryptedKeyBytes?: readonly [number, number];
}

/** Rules by `alg`. RSA keys have 2048 to 4096 bits; AES key wrap makes 40 bytes of a 256-bit key. */
export const ALGORITHM_RULES: Readonly<Record<TokenAlgorithm, AlgorithmRule>> = {
  'RSA-OAEP-256': { names: ['alg', 'enc', 'typ', 'kid'], encryptedKeyBytes: [256, 512] },
  'ECDH-ES+A256KW': { names: ['alg', 'enc', 'typ', 'kid', 'epk'], encryptedKeyBytes: [40, 40] },
  A256KW: { names: ['alg', 'enc', 'typ', 'kid'], encryptedKeyBytes: [40, 40] },
  dir: { names: ['alg', 'enc', 'typ', 'kid'], encryptedKeyBytes: [0, 0] },
  ES256: { names: ['alg', 'typ', 'kid'] },
};

/** What follows from a `typ`. */
export interface TokenRule {
  readonly form: 'JWE' | 'JWS';
  readonly algs: readonly TokenAlgorithm[];
  /** The form of the key id, so that it can stand in a log as it is. */
  readonly kid: RegExp;
  /** The most characters of the whole token. */
  readonly maxChars: number;
}

const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
const MESSAGE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SECRET_ID = /^[A-Za-z0-9_-]{1,64}$/;
const KIB = 1024;

/** Rules by `typ`. */
export const TOKEN_RULES: Readonly<Record<TokenType, TokenRule>> = {
  /** A message for the site, inside an Envelope. */
  'mpe-env': {
    form: 'JWE',
    algs: ['RSA-OAEP-256', 'ECDH-ES+A256KW'],
    kid: THUMBPRINT,
    maxChars: 128 * KIB,
  },
  /** Something wrapped to the certificate: a data key, a retired sealing key. */
  'mpe-dk': { form: 'JWE', algs: ['RSA-OAEP-256'], kid: THUMBPRINT, maxChars: 64 * KIB },
  /** Something wrapped under the worker secret: a sealing key, the fingerprint key. */
  'mpe-sk': { form: 'JWE', algs: ['A256KW'], kid: SECRET_ID, maxChars: 64 * KIB },
  /** A reply, under the reply key of the message that its kid names. */
  'mpe-reply': { form: 'JWE', algs: ['dir'], kid: MESSAGE_ID, maxChars: 256 * KIB },
  /** A ClientMessage. */
  'mpe-msg+jws': { form: 'JWS', algs: ['ES256'], kid: THUMBPRINT, maxChars: 128 * KIB },
  /** A RegistrationStatement. */
  'mpe-reg+jws': { form: 'JWS', algs: ['ES256'], kid: THUMBPRINT, maxChars: 8 * KIB },
  /** A TokenStatement. */
  'mpe-token+jws': { form: 'JWS', algs: ['ES256'], kid: THUMBPRINT, maxChars: 8 * KIB },
  /** The site document. */
  'mpe-site+jws': { form: 'JWS', algs: ['ES256'], kid: THUMBPRINT, maxChars: 128 * KIB },
  /** The old root's word for the new one, inside a site document. */
  'mpe-root+jws': { form: 'JWS', algs: ['ES256'], kid: THUMBPRINT, maxChars: 4 * KIB },
  /** A checkpoint of the audit. */
  'mpe-audit+jws': { form: 'JWS', algs: ['ES256'], kid: THUMBPRINT, maxChars: 2 * KIB },
  /** A site token. */
  'mpe-access+jwt': { form: 'JWS', algs: ['ES256'], kid: THUMBPRINT, maxChars: 4 * KIB },
};

/** The most bytes of a header: the longest of ours (ECDH) has 250. */
export const MAX_HEADER_BYTES = 1024;
