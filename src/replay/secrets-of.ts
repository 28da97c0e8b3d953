import { isMpeError } from '../ops/errors.js';
import { parseRecoveryPassword } from '../protocol/recovery-password.js';
import type { Fixture } from './fixture-schema.js';
import { bytesValue, guidValue, passwordValue } from './fixture-values.js';
import { clientIdOf } from './build-case.js';
import { NIL_GUID, type Guid } from '../protocol/guid.js';
import type { SecretKind } from '../secrets/types.js';

/** A secret that a case sends. */
export interface FixtureSecret {
  readonly kind: SecretKind;
  /** Null where the id is none. */
  readonly keyId: Guid | null;
  readonly volumeId: Guid | null;
  /** How the case writes it, which is no secret where it is a label. */
  readonly source: unknown;
  /** The decoded value; null for a password that breaks its rule. */
  readonly value: Buffer | null;
  /** As it stands in the message; '' for bytes. */
  readonly text: string;
}

function guidOrNull(scope: string, text: string): Guid | null {
  try {
    return guidValue(scope, text);
  } catch (error) {
    if (isMpeError(error, 'FIXTURE_INVALID')) return null;
    throw error;
  }
}

function passwordBytes(text: string): Buffer | null {
  try {
    return parseRecoveryPassword(text).bytes;
  } catch (error) {
    if (isMpeError(error, 'VALUE_INVALID')) return null;
    throw error;
  }
}

/** Every password, package and owner authorization in the messages of a case. */
export function secretsOf(fixture: Fixture): readonly FixtureSecret[] {
  const scope = fixture.name;
  return fixture.steps.flatMap(({ send }): FixtureSecret[] => {
    if (send === undefined) return [];
    if ('escrowTpmOwnerAuth' in send.body) {
      const { ownerAuth } = send.body.escrowTpmOwnerAuth;
      if (ownerAuth === undefined) return [];
      const value = bytesValue(scope, ownerAuth);
      const keyId = clientIdOf(fixture, send.client);
      return [{ kind: 'TPM_OWNER_AUTH', keyId, volumeId: NIL_GUID, source: ownerAuth, value, text: '' }];
    }
    if (!('escrowRecoveryKeys' in send.body)) return [];
    return send.body.escrowRecoveryKeys.volumes.flatMap((volume) =>
      volume.protectors.flatMap((protector): FixtureSecret[] => {
        const ids = { keyId: guidOrNull(scope, protector.key), volumeId: guidOrNull(scope, volume.volume) };
        const secrets: FixtureSecret[] = [];
        if (protector.password !== undefined) {
          const text = passwordValue(scope, protector.password);
          secrets.push({
            ...ids,
            kind: 'RECOVERY_PASSWORD',
            source: protector.password,
            value: passwordBytes(text),
            text,
          });
        }
        if (protector.package !== undefined) {
          const value = bytesValue(scope, protector.package, 2000);
          secrets.push({ ...ids, kind: 'KEY_PACKAGE', source: protector.package, value, text: '' });
        }
        return secrets;
      }),
    );
  });
}
