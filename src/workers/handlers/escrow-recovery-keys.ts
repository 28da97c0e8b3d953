import type { Body, EscrowProtector, EscrowVolume } from '../../protocol/client-message.js';
import type { Guid } from '../../protocol/guid.js';
import { checkKeyPackage } from '../../protocol/key-package.js';
import { parseRecoveryPassword } from '../../protocol/recovery-password.js';
import { ITEM_REASONS, type ItemReason } from '../../protocol/vocabulary.js';
import { isMpeError } from '../../ops/errors.js';
import { identify } from '../../secrets/secret-identity.js';
import type { VolumeReport } from '../../store/site-store.js';
import { first } from '../gates.js';
import {
  NOTHING_JUDGED,
  type Judged,
  type JudgedSecret,
  type KeyDraft,
  type KeyVerdict,
  type PackageVerdict,
  type VolumeDraft,
} from '../types.js';
import type { HandlerContext } from './context.js';
import { checkVolume, echoId, labelOk, readGuid, storedText } from './volume.js';

const refused = (
  reason: ItemReason,
  badGroup = 0,
): { kind: 'refused'; reason: ItemReason; badGroup: number } => ({
  kind: 'refused',
  reason,
  badGroup,
});

/** The reason that a value rule gave, or the one it stands for. */
function reasonOf(error: unknown, fallback: ItemReason): ItemReason {
  if (!isMpeError(error, 'VALUE_INVALID')) throw error;
  return ITEM_REASONS.find((reason) => reason === error.facts['reason']) ?? fallback;
}

/** Judges a password; the secret is added to `secrets` where it is good. */
function judgePassword(
  text: string,
  keyId: Guid,
  volumeId: Guid,
  context: HandlerContext,
  secrets: JudgedSecret[],
): KeyVerdict {
  let parsed;
  try {
    parsed = parseRecoveryPassword(text);
  } catch (error) {
    if (!isMpeError(error, 'VALUE_INVALID')) throw error;
    return refused('RECOVERY_PASSWORD_INVALID', Number(error.facts['group'] ?? 0));
  }
  if (context.gates.secret !== 'NONE') return refused(context.gates.secret);
  const identity = identify(context.fingerprintKey, 'RECOVERY_PASSWORD', keyId, volumeId, parsed.bytes);
  secrets.push({ identity, plaintext: Buffer.from(parsed.canonical, 'utf8') });
  return { kind: 'secret', secretId: Buffer.from(identity.secretId).toString('hex') };
}

/** Judges a key package, which is worth something only beside its good password. */
function judgePackage(
  bytes: Uint8Array,
  keyId: Guid,
  volumeId: Guid,
  password: KeyVerdict,
  context: HandlerContext,
  secrets: JudgedSecret[],
): PackageVerdict {
  try {
    checkKeyPackage(bytes);
  } catch (error) {
    return refused(reasonOf(error, bytes.length === 0 ? 'KEY_PACKAGE_EMPTY' : 'KEY_PACKAGE_TOO_LARGE'));
  }
  const gate = first(context.gates.keyPackage, context.gates.secret);
  if (gate !== 'NONE') return refused(gate);
  if (password.kind !== 'secret') return refused('KEY_PACKAGE_WITHOUT_PASSWORD');
  const identity = identify(context.fingerprintKey, 'KEY_PACKAGE', keyId, volumeId, bytes);
  secrets.push({ identity, plaintext: bytes });
  return { kind: 'secret', secretId: Buffer.from(identity.secretId).toString('hex') };
}

/** Judges one protector of a volume that is itself accepted. */
function judgeProtector(
  protector: EscrowProtector,
  volumeId: Guid,
  seen: Set<Guid>,
  context: HandlerContext,
  secrets: JudgedSecret[],
): KeyDraft {
  const sent = protector.keyPackage !== undefined;
  const echo = echoId(protector.keyId);
  const whole = (reason: ItemReason): KeyDraft => ({
    keyId: echo,
    verdict: refused(reason),
    keyPackage: sent ? refused(reason) : null,
  });
  const keyId = readGuid(protector.keyId);
  if (keyId === null) return whole('KEY_ID_INVALID');
  // The first of two stands: which of two passwords is the right one cannot be known here, and the
  // client is told that the second was refused.
  if (seen.has(keyId)) return whole('KEY_ID_DUPLICATE');
  seen.add(keyId);
  const verdict: KeyVerdict =
    protector.recoveryPassword === undefined
      ? { kind: 'named', ref: `${volumeId}/${keyId}`, gate: context.gates.secret }
      : judgePassword(protector.recoveryPassword, keyId, volumeId, context, secrets);
  const keyPackage =
    protector.keyPackage === undefined
      ? null
      : judgePackage(protector.keyPackage, keyId, volumeId, verdict, context, secrets);
  return { keyId: echo, verdict, keyPackage };
}

/** A volume that is refused as a whole: every item under it is refused for the same reason. */
function refusedVolume(volume: EscrowVolume, refusal: ItemReason): VolumeDraft {
  return {
    volumeId: echoId(volume.volumeId),
    refusal,
    keys: volume.protectors.map((protector) => ({
      keyId: echoId(protector.keyId),
      verdict: refused(refusal),
      keyPackage: protector.keyPackage === undefined ? null : refused(refusal),
    })),
  };
}

/**
 * Judges an EscrowRecoveryKeys, item by item: one bad item never costs a good one.
 *
 *  * A protector with a bad password stays in the volume's report: its key ID is a fact.
 *  * A volume with an invalid key ID does not replace the report (its set is not known), yet its
 *    good keys are stored.
 *  * A volume whose label is no text is refused, yet its good keys are stored.
 */
export function judgeEscrowRecoveryKeys(
  body: Extract<Body, { type: 'ESCROW_RECOVERY_KEYS' }>,
  context: HandlerContext,
): Judged {
  const secrets: JudgedSecret[] = [];
  const volumes: VolumeReport[] = [];
  const seenVolumes = new Set<Guid>();
  const drafts = body.volumes.map((volume): VolumeDraft => {
    const checked = checkVolume(volume, seenVolumes);
    if (checked.refusal !== 'NONE') return refusedVolume(volume, checked.refusal);
    const { volumeId, volumeType } = checked;
    seenVolumes.add(volumeId);
    const gate = context.gates.volume(volumeType);
    if (gate !== 'NONE') return refusedVolume(volume, gate);

    const keyIds = new Set<Guid>();
    const keys = volume.protectors.map((protector) =>
      judgeProtector(protector, volumeId, keyIds, context, secrets),
    );
    const goodLabel = labelOk(volume.driveLabel);
    const setKnown = volume.protectors.every((protector) => readGuid(protector.keyId) !== null);
    if (goodLabel && setKnown) {
      volumes.push({
        volumeId,
        volumeType,
        driveLabel: storedText(volume.driveLabel),
        protection: volume.protection,
        keyIds: [...keyIds].sort(),
      });
    }
    return { volumeId: echoId(volume.volumeId), refusal: goodLabel ? 'NONE' : 'TEXT_INVALID', keys };
  });
  return { ...NOTHING_JUDGED, secrets, volumes, drafts };
}
