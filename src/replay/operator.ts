import { createHash } from 'node:crypto';
import type { Clock } from '../ops/clock.js';
import { MpeError, assertNever } from '../ops/errors.js';
import { VERSION } from '../ops/version.js';
import { parseRecoveryPassword } from '../protocol/recovery-password.js';
import { identify } from '../secrets/secret-identity.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import type { SiteStore } from '../store/site-store.js';
import type { BuiltCase } from './built-case.js';
import { clientIdOf, enrolmentSecretOf, signingKeyOf } from './build-case.js';
import { timeValue } from './fixture-body.js';
import type { Fixture, OperatorSource } from './fixture-schema.js';
import { guidValue, passwordValue } from './fixture-values.js';
import { futureKeyRow } from './fixture-site.js';
import { labelGuid } from './labels.js';
import type { FixtureMaterial } from './material.js';

/** What operator steps work with. */
export interface OperatorContext {
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly material: FixtureMaterial;
  readonly fingerprintKey: FingerprintKey;
}

const BY = 'replay';

/**
 * Does what an operator would do, straight in the site database. Doing it again changes nothing, so
 * that a set can be replayed into the site that it made.
 */
export async function operate(
  operator: OperatorSource,
  fixture: Fixture,
  built: BuiltCase,
  context: OperatorContext,
): Promise<void> {
  const { store, clock, material } = context;
  const guid = (text: string) => guidValue(fixture.name, text);
  const nowMs = clock.now();
  if ('block' in operator) {
    await store.setClientState(clientIdOf(fixture, operator.block), 'BLOCKED', BY);
  } else if ('unblock' in operator) {
    await store.setClientState(clientIdOf(fixture, operator.unblock), 'ACTIVE', BY);
  } else if ('approve' in operator) {
    const { client, key } = operator.approve;
    const kid = signingKeyOf(fixture, client, key).kid;
    const approval = { by: BY, tag: 'fixture', atMs: nowMs };
    // null: nothing waits, so it was approved before; a step that then sends tells where it was not.
    const result = await store.approveRegistration(clientIdOf(fixture, client), kid, approval);
    if (result?.status === 'REFUSED')
      throw new MpeError('VALUE_INVALID', `the approval was refused: ${result.reason}`);
  } else if ('reject' in operator) {
    const { client, key } = operator.reject;
    await store.rejectRegistration(clientIdOf(fixture, client), signingKeyOf(fixture, client, key).kid);
  } else if ('openRotation' in operator) {
    const { request, volume, key, deadline } = operator.openRotation;
    await store.openRotationRequest(
      { requestId: guid(request), volumeId: guid(volume), keyId: guid(key), deadlineMs: timeValue(deadline) },
      nowMs,
    );
  } else if ('damage' in operator) {
    const { volume, key, password } = operator.damage;
    const { bytes } = parseRecoveryPassword(passwordValue(fixture.name, password));
    const { secretId } = identify(
      context.fingerprintKey,
      'RECOVERY_PASSWORD',
      guid(key),
      guid(volume),
      bytes,
    );
    await store.markDamaged(secretId, 1, 'fixture: does not open', nowMs);
  } else if ('addSealingKey' in operator) {
    const row = await futureKeyRow(material, nowMs);
    const known = (await store.readSealingKeys()).some((key) => key.kid === row.kid);
    if (!known) await store.addSealingKey(row);
  } else if ('addToken' in operator) {
    const { token, uses, expiresAt, revoked } = operator.addToken;
    const secret = enrolmentSecretOf(fixture, material, token) ?? Buffer.alloc(0);
    const tokenId = labelGuid(fixture.name, `enrolment token ${token}`);
    const known = (await store.readEnrolmentTokens()).some((row) => row.tokenId === tokenId);
    if (known) return;
    await store.insertEnrolmentToken({
      tokenId,
      secretHash: createHash('sha256').update(secret).digest(),
      usesAllowed: uses,
      usesLeft: uses,
      expiresAtMs: timeValue(expiresAt),
      tag: 'fixture',
      revokedAtMs: revoked ? nowMs : null,
      createdAtMs: nowMs,
    });
  } else if ('deadLetter' in operator) {
    const step = built.steps[operator.deadLetter.of];
    if (step?.kind !== 'message') throw new MpeError('FIXTURE_INVALID', 'a dead letter needs a message');
    const { clientId, messageId, bodyType, sealed } = step;
    await store.addDeadLetter(
      {
        ...{ clientId, messageId, bodyType, sealed },
        cause: operator.deadLetter.cause,
        detail: 'fixture',
        release: VERSION,
        resends: 0,
        deadAtMs: nowMs,
        redrivenAtMs: null,
      },
      100_000,
    );
  } else if ('redrive' in operator) {
    const step = built.steps[operator.redrive];
    if (step?.kind === 'message') await store.redriveDeadLetter(step.clientId, step.messageId, nowMs);
  } else assertNever(operator);
}
