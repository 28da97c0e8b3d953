import { createHash } from 'node:crypto';
import { publicPart, seal, sign, thumbprint } from '../jose/index.js';
import type { Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import { encodeClientMessage, encodeRegistrationStatement } from '../protocol/encode.js';
import { bodyTypeNumber } from '../protocol/wire-enums.js';
import { registerStepId, type BuiltCase, type BuiltMessage, type BuiltRegistration } from './built-case.js';
import { bodyTypeOf, bodyValue, timeValue } from './fixture-body.js';
import type { Fixture, RegisterSource, SendSource, Step } from './fixture-schema.js';
import { bytesValue, guidValue } from './fixture-values.js';
import { forgeJwe } from './forge-jwe.js';
import { forgeJws } from './forge-jws.js';
import { forgePayload } from './forge-payload.js';
import { labelBytes, labelGuid, labelSigningKey } from './labels.js';
import type { FixtureMaterial } from './material.js';

/** Raise when a build makes other bytes from the same source. */
const BUILDER = 1;

const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest();

/** The id of a client of a case. */
export function clientIdOf(fixture: Fixture, client: string): Guid {
  const id = fixture.clients[client]?.id;
  return id === undefined ? labelGuid(fixture.name, `client ${client}`) : guidValue(fixture.name, id);
}

/** The signing key `k1`, or `other/k1`, seen from `client`. */
export function signingKeyOf(fixture: Fixture, client: string, key: string): PrivateJwk {
  return labelSigningKey(fixture.name, key.includes('/') ? key : `${client}/${key}`, thumbprint);
}

/** The secret of an enrolment token that a case names: the site's, or one of the case's own. */
export function enrolmentSecretOf(fixture: Fixture, material: FixtureMaterial, token: string): Buffer | null {
  if (token === 'none') return null;
  if (token === 'site') return Buffer.from(material.enrolmentSecret, 'base64url');
  return labelBytes(fixture.name, `enrolment token ${token}`, 32);
}

/** The message id of a step. */
export function messageIdOf(fixture: Fixture, step: Step): Guid {
  const message = step.send?.message;
  return message === undefined
    ? labelGuid(fixture.name, `message ${step.id}`)
    : guidValue(fixture.name, message);
}

/** The registrations a case needs before its own steps. */
export function implicitRegistrations(
  fixture: Fixture,
): readonly { readonly id: string; readonly register: RegisterSource }[] {
  return Object.entries(fixture.clients)
    .filter(([, client]) => client.register)
    .map(([client]) => ({ id: registerStepId(client), register: { client, key: 'k1', token: 'site' } }));
}

function sealingKey(material: FixtureMaterial, name: SendSource['sealTo']): PrivateJwk {
  return material.sealing[name];
}

async function buildSend(
  fixture: Fixture,
  step: Step,
  send: SendSource,
  material: FixtureMaterial,
  source: string,
): Promise<BuiltMessage> {
  const scope = fixture.name;
  const key = signingKeyOf(fixture, send.client, send.key);
  const stranger = signingKeyOf(fixture, send.client, 'stranger');
  const clientId = clientIdOf(fixture, send.client);
  const messageId = messageIdOf(fixture, step);
  const bodyType = send.bodyType ?? bodyTypeOf(send.body);
  const { head, payload: payloadForges, jws: jwsForge, jwe: jweForge } = send.forge ?? {};
  const replyKey =
    head?.replyKey === undefined
      ? labelBytes(scope, `reply key ${step.id}`, 32)
      : bytesValue(scope, head.replyKey, 32);
  const message = {
    siteGuid: head?.site === undefined ? material.siteGuid : guidValue(scope, head.site),
    messageId: head?.message === undefined ? messageId : guidValue(scope, head.message),
    clientId: head?.client === undefined ? clientId : guidValue(scope, head.client),
    bodyType: head?.bodyType ?? bodyTypeOf(send.body),
    replyKey,
    sequence: BigInt(send.sequence),
    createdAtMs: timeValue(send.createdAt),
    clientVersion: send.clientVersion,
    body: bodyValue(scope, send.body),
  };
  const payload = (payloadForges ?? []).reduce<Uint8Array>(
    (bytes, forge) => forgePayload(scope, bytes, forge),
    encodeClientMessage(message),
  );
  const jws =
    jwsForge === undefined
      ? payload.length === 0
        ? forgeJws(payload, key, stranger, 'no fault')
        : await sign(payload, key, 'mpe-msg+jws')
      : jwsForge === 'none'
        ? Buffer.from(payload).toString('latin1')
        : forgeJws(payload, key, stranger, jwsForge);
  const inner = jwsForge === 'none' ? payload : Buffer.from(jws);
  const sealed =
    jweForge === undefined
      ? await seal(inner, publicPart(sealingKey(material, send.sealTo)), 'mpe-env')
      : jweForge === 'none'
        ? jws
        : forgeJwe(jws, publicPart(material.sealing.rsa), material.sealing.ecdh.kid, jweForge);
  return {
    kind: 'message',
    source,
    clientId,
    messageId,
    bodyType: bodyTypeNumber(bodyType),
    sentAtMs: timeValue(send.sentAt ?? send.createdAt),
    payloadDigest: sha256(payload).toString('hex'),
    replyKey: replyKey.toString('base64url'),
    jws: jwsForge === 'none' ? '' : jws,
    sealed,
  };
}

async function buildRegistration(
  fixture: Fixture,
  id: string,
  register: RegisterSource,
  material: FixtureMaterial,
  source: string,
): Promise<BuiltRegistration> {
  const scope = fixture.name;
  const key = signingKeyOf(fixture, register.client, register.key);
  const stranger = signingKeyOf(fixture, register.client, 'stranger');
  const clientId = clientIdOf(fixture, register.as ?? register.client);
  const registrationId =
    register.registration === undefined
      ? labelGuid(scope, `registration ${id}`)
      : guidValue(scope, register.registration);
  const secret = enrolmentSecretOf(fixture, material, register.token);
  const named = register.forge === 'other-key-in-statement' ? stranger : key;
  const bound = register.forge === 'token-swapped' ? Buffer.from('another token') : secret;
  const statement = encodeRegistrationStatement({
    siteGuid: register.forge === 'other-site' ? labelGuid(scope, 'other site') : material.siteGuid,
    registrationId,
    clientId,
    publicKeyX: Buffer.from(named.x ?? '', 'base64url'),
    publicKeyY: Buffer.from(named.y ?? '', 'base64url'),
    createdAtMs: timeValue('2026-01-02T03:04:05Z'),
    enrolmentTokenSha256: bound === null ? new Uint8Array() : sha256(bound),
  });
  const good = await sign(statement, key, 'mpe-reg+jws');
  const jws =
    register.forge === 'signature-flipped'
      ? flipSignature(good)
      : register.forge === 'typ-wrong'
        ? await sign(statement, key, 'mpe-msg+jws')
        : register.forge === 'kid-of-other-key'
          ? forgeJws(statement, key, stranger, 'signed-by-stranger', 'mpe-reg+jws')
          : good;
  return {
    kind: 'registration',
    source,
    clientId,
    registrationId,
    enrolmentToken: secret === null ? null : secret.toString('base64url'),
    jws,
    previousKeyJws:
      register.previousKey === undefined
        ? null
        : await sign(statement, signingKeyOf(fixture, register.client, register.previousKey), 'mpe-reg+jws'),
  };
}

function flipSignature(token: string): string {
  const [header, body, signature] = token.split('.');
  const bytes = Buffer.from(signature ?? '', 'base64url');
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  return [header, body, bytes.toString('base64url')].join('.');
}

/** Digest of everything that goes into a step's token. */
function sourceDigest(fixture: Fixture, material: FixtureMaterial, what: object, client: string): string {
  const facts = {
    builder: BUILDER,
    material: material.fingerprint,
    case: fixture.name,
    client: clientIdOf(fixture, client),
    what,
  };
  return sha256(JSON.stringify(facts)).toString('hex');
}

/** Everything a built case is made of, with the digest that decides whether it is still right. */
interface Task {
  readonly id: string;
  readonly source: string;
  readonly make: (built: ReadonlyMap<string, BuiltMessage>) => Promise<BuiltMessage | BuiltRegistration>;
}

function tasksOf(fixture: Fixture, material: FixtureMaterial): readonly Task[] {
  const tasks: Task[] = [];
  const registrations = [
    ...implicitRegistrations(fixture),
    ...fixture.steps.flatMap((s) => (s.register === undefined ? [] : [{ id: s.id, register: s.register }])),
  ];
  for (const { id, register } of registrations) {
    const source = sourceDigest(fixture, material, { id, register }, register.client);
    tasks.push({ id, source, make: () => buildRegistration(fixture, id, register, material, source) });
  }
  const sources = new Map<string, string>();
  for (const step of fixture.steps) {
    const { send } = step;
    if (send === undefined) continue;
    // Channel and padding go with the token when it is sent; they are not in it.
    const forge = send.forge === undefined ? undefined : { ...send.forge, padTo: undefined };
    const made = { id: step.id, ...send, forge, channel: undefined };
    const source = sourceDigest(fixture, material, made, send.client);
    sources.set(step.id, source);
    tasks.push({ id: step.id, source, make: () => buildSend(fixture, step, send, material, source) });
  }
  for (const step of fixture.steps) {
    const { resend } = step;
    if (resend === undefined) continue;
    const source = sha256(JSON.stringify([sources.get(resend.of), resend])).toString('hex');
    tasks.push({
      id: step.id,
      source,
      make: async (built) => {
        const first = built.get(resend.of);
        if (first === undefined) throw new Error(`step "${resend.of}" was not built`);
        const sealed = resend.reseal
          ? await seal(Buffer.from(first.jws), publicPart(material.sealing[resend.sealTo]), 'mpe-env')
          : first.sealed;
        const sentAtMs = resend.sentAt === undefined ? first.sentAtMs : timeValue(resend.sentAt);
        return { ...first, source, sentAtMs, sealed };
      },
    });
  }
  return tasks;
}

/** What a build of one case did. */
export interface BuildResult {
  readonly built: BuiltCase;
  /** Steps that were made now. */
  readonly made: readonly string[];
  /** Steps that were in the old file and are no longer in the case. */
  readonly dropped: readonly string[];
}

/** Builds a case, keeping every token of `old` whose source is unchanged. */
export async function buildCase(
  fixture: Fixture,
  material: FixtureMaterial,
  old: BuiltCase | null,
): Promise<BuildResult> {
  const steps: Record<string, BuiltMessage | BuiltRegistration> = {};
  const messages = new Map<string, BuiltMessage>();
  const made: string[] = [];
  for (const task of tasksOf(fixture, material)) {
    const kept = old?.steps[task.id];
    const step = kept?.source === task.source ? kept : await task.make(messages);
    if (step !== kept) made.push(task.id);
    steps[task.id] = step;
    if (step.kind === 'message') messages.set(task.id, step);
  }
  const dropped = Object.keys(old?.steps ?? {}).filter((id) => !Object.hasOwn(steps, id));
  return { built: { format: 1, case: fixture.name, steps }, made, dropped };
}

/** Steps of a case whose token is absent or made from another source. */
export function staleSteps(
  fixture: Fixture,
  material: FixtureMaterial,
  built: BuiltCase | null,
): readonly string[] {
  const tasks = tasksOf(fixture, material);
  const ids = new Set(tasks.map((t) => t.id));
  return [
    ...tasks.filter((t) => built?.steps[t.id]?.source !== t.source).map((t) => t.id),
    ...Object.keys(built?.steps ?? {}).filter((id) => !ids.has(id)),
  ];
}
