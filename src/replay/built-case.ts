import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import { jsonPath } from './load-fixtures.js';

/**
 * What a case sends, as stored in `built/<case>.json`. RSA, ECDH and ES256 are random, so tokens are
 * stored; each carries the digest of the source that it was made from, and a build makes a token
 * again only when that digest changes.
 */

const guid = z.string().transform((text) => text as Guid);

const builtMessage = z.strictObject({
  kind: z.literal('message'),
  /** SHA-256 (hex) of all that went into the token. */
  source: z.string(),
  clientId: guid,
  messageId: guid,
  /** Number on the wire. */
  bodyType: z.int(),
  sentAtMs: z.int(),
  /** SHA-256 (hex) of the signed payload. */
  payloadDigest: z.string(),
  /** Base64url: the key of the sealed reply. */
  replyKey: z.string(),
  /** What `resend` seals again. */
  jws: z.string(),
  sealed: z.string(),
});

const builtRegistration = z.strictObject({
  kind: z.literal('registration'),
  source: z.string(),
  clientId: guid,
  registrationId: guid,
  /** Base64url of the token's secret bytes; null = none sent. */
  enrolmentToken: z.string().nullable(),
  jws: z.string(),
  previousKeyJws: z.string().nullable(),
});

const builtSchema = z.strictObject({
  format: z.literal(1),
  case: z.string(),
  steps: z.record(z.string(), z.discriminatedUnion('kind', [builtMessage, builtRegistration])),
});

/** A sealed message of a case. */
export type BuiltMessage = z.output<typeof builtMessage>;
/** A signed registration of a case. */
export type BuiltRegistration = z.output<typeof builtRegistration>;
/** A built case. */
export type BuiltCase = z.output<typeof builtSchema>;

/** The file of a built case. */
export function builtFile(folder: string, name: string): string {
  return join(folder, 'built', `${name}.json`);
}

/**
 * Reads a built case; null where it was never built.
 *
 * @throws MpeError FIXTURE_INVALID
 */
export function readBuiltCase(folder: string, name: string): BuiltCase | null {
  const file = builtFile(folder, name);
  if (!existsSync(file)) return null;
  try {
    const result = builtSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
    if (result.success) return result.data;
    const issue = result.error.issues[0];
    throw new Error(`${jsonPath(issue?.path ?? [])}: ${issue?.message ?? 'not a built case'}`);
  } catch (error) {
    throw new MpeError(
      'FIXTURE_INVALID',
      `${file}: ${(error as Error).message}; remove it and run mpe fixtures build`,
      { cause: error },
    );
  }
}

/** The id of the step that registers a client by itself. */
export function registerStepId(client: string, key = 'k1'): string {
  return `register:${client}/${key}`;
}
