import { assertNever } from '../ops/errors.js';
import type { Body } from '../protocol/client-message.js';
import { guidToBytes } from '../protocol/guid.js';
import type { BodyType } from '../protocol/vocabulary.js';
import type { BodySource } from './fixture-schema.js';
import { bytesValue, guidValue, idBytes, passwordValue } from './fixture-values.js';

/** Milliseconds of a UTC time of a fixture. */
export function timeValue(text: string): number {
  return Date.parse(text);
}

/** The body type that a fixture's body has. */
export function bodyTypeOf(body: BodySource): BodyType {
  if ('escrowRecoveryKeys' in body) return 'ESCROW_RECOVERY_KEYS';
  if ('escrowTpmOwnerAuth' in body) return 'ESCROW_TPM_OWNER_AUTH';
  if ('rotationResult' in body) return 'ROTATION_RESULT';
  if ('checkIn' in body) return 'CHECK_IN';
  return assertNever(body);
}

/** Turns the readable body of case `scope` into what the encoder takes. */
export function bodyValue(scope: string, source: BodySource): Body {
  if ('escrowRecoveryKeys' in source)
    return {
      type: 'ESCROW_RECOVERY_KEYS',
      volumes: source.escrowRecoveryKeys.volumes.map((volume) => ({
        volumeId: idBytes(scope, volume.volume),
        volumeType: volume.type,
        driveLabel: volume.label,
        protection: volume.protection,
        protectors: volume.protectors.map((protector) => ({
          keyId: idBytes(scope, protector.key),
          ...(protector.password === undefined
            ? {}
            : { recoveryPassword: passwordValue(scope, protector.password) }),
          ...(protector.package === undefined
            ? {}
            : { keyPackage: bytesValue(scope, protector.package, 2000) }),
        })),
      })),
    };
  if ('escrowTpmOwnerAuth' in source) {
    const { ownerAuth } = source.escrowTpmOwnerAuth;
    return {
      type: 'ESCROW_TPM_OWNER_AUTH',
      ...(ownerAuth === undefined ? {} : { ownerAuth: bytesValue(scope, ownerAuth) }),
    };
  }
  if ('rotationResult' in source) {
    const { request, outcome, errorCode, errorText, newKey } = source.rotationResult;
    return {
      type: 'ROTATION_RESULT',
      requestId: idBytes(scope, request),
      outcome,
      ...(errorCode === undefined ? {} : { errorCode: BigInt(errorCode) }),
      ...(errorText === undefined ? {} : { errorText }),
      ...(newKey === undefined ? {} : { newKeyId: guidToBytes(guidValue(scope, newKey)) }),
    };
  }
  const { machineName, domain, volumes, users, otherManagers, lastError } = source.checkIn;
  return {
    type: 'CHECK_IN',
    machineName,
    domain,
    volumes: volumes.map((volume) => ({
      volumeId: idBytes(scope, volume.volume),
      volumeType: volume.type,
      driveLabel: volume.label,
      protection: volume.protection,
      keyIds: volume.keys.map((key) => idBytes(scope, key)),
    })),
    users,
    otherManagers,
    ...(lastError === undefined
      ? {}
      : {
          lastError: {
            code: BigInt(lastError.code),
            text: lastError.text,
            atMs: timeValue(lastError.at),
          },
        }),
  };
}
