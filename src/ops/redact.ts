/**
 * The second net under logs. The first is that nobody hands a secret to a logger; this one catches
 * what slipped: fields whose name could carry a secret, raw bytes, and texts that look like one,
 * at any depth, also inside errors and their causes.
 */
import { isMpeError } from './errors.js';

/** What stands where a secret stood. */
export const CENSOR = '[redacted]';

/** Names, lower case without separators, that contain one of these words may carry a secret. */
const SECRET_WORD =
  /password|passphrase|passwd|secret|token|ownerauth|keypackage|^package|authorization|cookie|privatekey|replykey|workerkey|datakey$|rootkey|tlskey|certificatekey|recoverykey$|credential|^jwk$|privatejwk|jws|jwe|plaintext|payload|^pem$|keypem|^sealed|^wrapped|ciphertext|^body$|^bytes$|^content$/;

/** Names that only speak about a secret: ids, hashes, counts, kinds. */
const ABOUT_ONE =
  /(id|ids|hash|digest|thumbprint|count|kind|kinds|state|form|length|size|atms|createdat|expiresat|seconds|path|file)$/;

/** Members of a private JWK. */
const JWK_PRIVATE = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth']);

/** Recovery passwords, compact JOSE tokens, enrolment tokens, private PEM blocks, URL credentials. */
const SECRET_TEXT: readonly (readonly [RegExp, string])[] = [
  [/\d{6}(?:[- ]?\d{6}){7}/g, CENSOR],
  [/eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}/g, CENSOR],
  [/mpe1\.[0-9a-fA-F]{32}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g, CENSOR],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, CENSOR],
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@:"]*:[^\s/@"]+@/gi, `$1${CENSOR}@`],
];

const MAX_DEPTH = 8;

/** Replaces what looks like a secret inside a text. */
export function redactText(text: string): string {
  return SECRET_TEXT.reduce((out, [pattern, replacement]) => out.replaceAll(pattern, replacement), text);
}

/** Whether a field of this name is shown as {@link CENSOR}. */
export function isSecretName(name: string): boolean {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  return SECRET_WORD.test(plain) && !ABOUT_ONE.test(plain);
}

/**
 * A copy of a value that is safe to log: JSON types alone, secrets censored, bytes as their count,
 * errors with code, text, facts, stack and cause.
 */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (depth >= MAX_DEPTH) return '[too deep]';
  if (value instanceof Error) return redactError(value, depth);
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  if (value instanceof Map) return redactFields(Object.fromEntries(value as Map<string, unknown>), depth);
  if (value instanceof Set) return [...value].map((item) => redactValue(item, depth + 1));
  return redactFields(value as Record<string, unknown>, depth);
}

function redactFields(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  const isJwk = 'kty' in fields;
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    // Counts and switches are no secrets, whatever they are called.
    const harmless = value === null || value === undefined || typeof value === 'boolean';
    const count = typeof value === 'number';
    const secret = isSecretName(name) || (isJwk && JWK_PRIVATE.has(name));
    out[name] = secret && !harmless && !count ? CENSOR : redactValue(value, depth + 1);
  }
  return out;
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  const own = Object.fromEntries(
    Object.entries(error).filter(([name]) => !['name', 'message', 'stack', 'cause'].includes(name)),
  );
  return {
    type: error.name,
    message: redactText(error.message),
    ...redactFields(own, depth),
    ...(isMpeError(error) ? { code: error.code } : {}),
    ...(error.stack === undefined ? {} : { stack: redactText(error.stack) }),
    ...(error.cause === undefined ? {} : { cause: redactValue(error.cause, depth + 1) }),
    ...(error instanceof AggregateError
      ? { errors: error.errors.map((inner) => redactValue(inner, depth + 1)) }
      : {}),
  };
}
