import type { Guid } from '../../protocol/guid.js';
import type { AuditWritten, DisclosableSecret, SecretHolder } from '../../store/disclosure-store.js';
import type { TriedClosed, TriedOpen } from './open-all.js';
import type { DisclosureRequest, ShownKey, ShownMachine, ShownState, WithheldKey } from './types.js';

type Rotations = Extract<AuditWritten, { kind: 'written' }>['rotations'];

/** Opened secrets as people see them: the newest proof first. */
export function shownKeys(
  { target }: Pick<DisclosureRequest, 'target'>,
  open: readonly TriedOpen[],
  stored: readonly DisclosableSecret[],
  rotations: Rotations,
): readonly ShownKey[] {
  return [...open]
    .sort((a, b) => newestProof(b) - newestProof(a))
    .map(({ secret, holders, opened }) => {
      const { keyId, volumeId, kind } = secret.identity;
      const isTpm = target.kind === 'TPM_OWNER_AUTH';
      const rotation = rotations.find((one) => one.keyId === keyId && one.volumeId === volumeId);
      return {
        ...{ kind, keyId, volumeId: isTpm ? null : volumeId, volumeType: secret.volumeType },
        driveLabel: holders.find(({ driveLabel }) => driveLabel !== '')?.driveLabel ?? '',
        value: valueOf(target.kind, opened.plaintext),
        machines: holders.map(machineOf),
        ...{ storedAtMs: opened.storedAtMs, state: stateOf(secret.holders) },
        conflicting: stored.filter((other) => other.identity.volumeId === volumeId).length > 1,
        ...{ exposedAtMs: secret.exposedAtMs, rotationRequestId: rotation?.requestId ?? null },
      };
    });
}

/** What belongs to the request and is not shown. */
export function withheldKeys(
  closed: readonly TriedClosed[],
  others: readonly DisclosableSecret[],
): readonly WithheldKey[] {
  return [
    ...closed.map(({ secret, holders, opened }) => ({
      ...{ keyId: secret.identity.keyId, volumeId: secret.identity.volumeId },
      ...{ machines: holders.map(machineOf), why: opened.why },
    })),
    ...others.map(({ identity: { keyId, volumeId } }) => ({
      ...{ keyId, volumeId, machines: [], why: 'NOT_YOURS' as const },
    })),
  ];
}

/** Machines as the audit names them, each once. */
export function machinesText(holders: readonly Pick<SecretHolder, 'machineName' | 'domain'>[]): string {
  const names = holders.map(({ machineName, domain }) =>
    domain === '' ? machineName : `${domain}\\${machineName}`,
  );
  return [...new Set(names)].sort().join(', ');
}

function valueOf(kind: DisclosureRequest['target']['kind'], plaintext: Buffer): string | Uint8Array {
  switch (kind) {
    case 'RECOVERY_PASSWORD':
      return plaintext.toString('utf8');
    case 'KEY_PACKAGE':
      return Uint8Array.from(plaintext);
    case 'TPM_OWNER_AUTH':
      return plaintext.toString('base64');
  }
}

const newestProof = ({ secret }: TriedOpen): number =>
  secret.holders[0]?.provenAtMs ?? secret.firstStoredAtMs;

function stateOf(holders: readonly SecretHolder[]): ShownState {
  if (holders.some(({ current }) => current)) return 'CURRENT';
  return holders.some(({ reportedAtMs }) => reportedAtMs !== null) ? 'SUPERSEDED' : 'NOT_REPORTED';
}

function machineOf(holder: SecretHolder): ShownMachine {
  const { clientId, machineName, domain, provenAtMs, current, reportedAtMs } = holder;
  return { clientId: clientId satisfies Guid, name: machineName, domain, provenAtMs, current, reportedAtMs };
}
