import type { Body, ReportedVolume } from '../../protocol/client-message.js';
import type { Guid } from '../../protocol/guid.js';
import { LIMITS, type ItemReason } from '../../protocol/vocabulary.js';
import type { VolumeReport } from '../../store/site-store.js';
import { first } from '../gates.js';
import { NOTHING_JUDGED, type Judged, type KeyDraft, type VolumeDraft } from '../types.js';
import type { HandlerContext } from './context.js';
import { checkVolume, echoId, isPlainText, labelOk, readGuid, storedText } from './volume.js';

type CheckIn = Extract<Body, { type: 'CHECK_IN' }>;

/** The first text that cannot be stored; null where all can. */
function badText(body: CheckIn): string | null {
  const texts: readonly (readonly [string, string, number])[] = [
    ['machine_name', body.machineName, LIMITS.nameChars],
    ['domain', body.domain, LIMITS.nameChars],
    ['last_error.text', body.lastError?.text ?? '', LIMITS.errorTextChars],
    ...body.users.flatMap(
      (user) =>
        [
          ['users.domain', user.domain, LIMITS.nameChars],
          ['users.name', user.name, LIMITS.nameChars],
        ] as const,
    ),
  ];
  const bad = texts.find(([, text, max]) => !isPlainText(text, max));
  return bad === undefined ? null : `CheckIn.${bad[0]} is longer than ${bad[2]} characters or no plain text`;
}

/** One key ID: named only, so the answer is whether the site can read it. */
function judgeKeyId(bytes: Uint8Array, volumeId: Guid, seen: Set<Guid>, gate: ItemReason): KeyDraft {
  const keyId = readGuid(bytes);
  const refusal: ItemReason =
    keyId === null ? 'KEY_ID_INVALID' : seen.has(keyId) ? 'KEY_ID_DUPLICATE' : 'NONE';
  if (keyId === null || refusal !== 'NONE')
    return {
      keyId: echoId(bytes),
      verdict: { kind: 'refused', reason: refusal, badGroup: 0 },
      keyPackage: null,
    };
  seen.add(keyId);
  return {
    keyId: echoId(bytes),
    verdict: { kind: 'named', ref: `${volumeId}/${keyId}`, gate },
    keyPackage: null,
  };
}

/**
 * Judges a CheckIn. Its reports hold no secret, so a policy that takes no key of a volume still
 * takes the report; such a key ID is answered with the gate's reason instead of SECRET_REQUIRED,
 * so that the client does not send what would be refused.
 *
 * @returns the problem as text where a text outside any volume breaks the contract
 */
export function judgeCheckIn(body: CheckIn, context: HandlerContext): Judged | string {
  const problem = badText(body);
  if (problem !== null) return problem;
  const volumes: VolumeReport[] = [];
  const seenVolumes = new Set<Guid>();
  const drafts = body.volumes.map((volume: ReportedVolume): VolumeDraft => {
    const checked = checkVolume(volume, seenVolumes);
    if (checked.refusal !== 'NONE' || !labelOk(volume.driveLabel)) {
      const reason = checked.refusal === 'NONE' ? 'TEXT_INVALID' : checked.refusal;
      return {
        volumeId: echoId(volume.volumeId),
        refusal: reason,
        keys: volume.keyIds.map((bytes) => ({
          keyId: echoId(bytes),
          verdict: { kind: 'refused', reason, badGroup: 0 },
          keyPackage: null,
        })),
      };
    }
    const { volumeId, volumeType } = checked;
    seenVolumes.add(volumeId);
    const gate = first(context.gates.volume(volumeType), context.gates.secret);
    const keyIds = new Set<Guid>();
    const keys = volume.keyIds.map((bytes) => judgeKeyId(bytes, volumeId, keyIds, gate));
    if (volume.keyIds.every((bytes) => readGuid(bytes) !== null)) {
      volumes.push({
        volumeId,
        volumeType,
        driveLabel: storedText(volume.driveLabel),
        protection: volume.protection,
        keyIds: [...keyIds].sort(),
      });
    }
    return { volumeId: echoId(volume.volumeId), refusal: 'NONE', keys };
  });
  return {
    ...NOTHING_JUDGED,
    volumes,
    drafts,
    state: {
      machineName: body.machineName,
      domain: body.domain,
      users: body.users,
      otherManagers: body.otherManagers,
      lastError:
        body.lastError === undefined ? null : { ...body.lastError, text: storedText(body.lastError.text) },
    },
  };
}
