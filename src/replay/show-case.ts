import { OpeningKeys, open } from '../jose/index.js';
import { decodeClientMessage } from '../protocol/decode.js';
import type { BuiltCase } from './built-case.js';
import { secretsOf } from './secrets-of.js';
import type { Fixture } from './fixture-schema.js';
import type { FixtureMaterial } from './material.js';

/** Hides the digits of everything that looks like a recovery password. */
function masked(text: string, fixture: Fixture): string {
  const values = new Set(secretsOf(fixture).flatMap((s) => (s.text === '' ? [] : [s.text])));
  let out = text;
  for (const value of values) out = out.replaceAll(value, '(recovery password)');
  return out
    .replaceAll(/\b[0-9]{6}([- ]?[0-9]{6}){7}\b/g, '(recovery password)')
    .replaceAll(/"(hex|base64|utf8):[^"]*"/g, '"($1 bytes)"');
}

function bytesText(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    const hex = Buffer.from(value).toString('hex');
    return hex.length <= 64 ? hex : `${hex.slice(0, 32)}… (${value.length} bytes)`;
  }
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(bytesText);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, bytesText(entry)]));
  return value;
}

/** What a token really holds, as far as the site's keys open it. */
async function decoded(sealed: string, keys: OpeningKeys): Promise<unknown> {
  try {
    const { payload, kid } = await open(sealed, 'mpe-env', keys);
    const jws = payload.toString('latin1').split('.');
    if (jws.length !== 3) return { sealedTo: kid, inside: 'no compact JWS' };
    const header: unknown = JSON.parse(Buffer.from(jws[0] ?? '', 'base64url').toString('utf8'));
    const message = decodeClientMessage(Buffer.from(jws[1] ?? '', 'base64url'));
    return { sealedTo: kid, header, message: bytesText(message) };
  } catch (error) {
    return `does not open: ${(error as Error).message}`;
  }
}

/**
 * A case for reading: what it says, and what its tokens hold when they are opened with the site's
 * keys. Recovery passwords, packages and owner authorizations are masked.
 */
export async function showCase(
  fixture: Fixture,
  built: BuiltCase | null,
  material: FixtureMaterial,
  withSecrets: boolean,
): Promise<string> {
  const { rsa, ecdh, future } = material.sealing;
  const keys = await OpeningKeys.from([rsa, ecdh, future]);
  const lines: string[] = [
    `${fixture.name}: ${fixture.title}`,
    `  tags ${fixture.tags.join(', ')} · site ${fixture.site} · from ${fixture.source.join('; ')}`,
  ];
  const json = (value: unknown): string =>
    JSON.stringify(value, null, 2)
      .split('\n')
      .map((line) => `    ${line}`)
      .join('\n');
  const packages = (text: string): string =>
    withSecrets ? text : text.replaceAll(/"(keyPackage|ownerAuth)": "[^"]*"/g, '"$1": "(secret bytes)"');
  for (const step of fixture.steps) {
    const after = step.after.length === 0 ? '' : ` after ${step.after.join(', ')}`;
    lines.push('', `${step.id}${after}${step.about === undefined ? '' : `: ${step.about}`}`);
    const { send, resend, register, operator } = step;
    lines.push(json({ send, resend, register, operator }));
    const token = built?.steps[step.id];
    if (token?.kind === 'message') lines.push('  opened', packages(json(await decoded(token.sealed, keys))));
    if (step.expect !== undefined) lines.push('  expect', json(step.expect));
    if (step.http !== undefined) lines.push('  over HTTP', json(step.http));
  }
  lines.push('', 'rows after the case', json(fixture.rows));
  const text = lines.join('\n');
  return withSecrets ? text : masked(text, fixture);
}
