import { assertNever } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { RotationFacts, RotationOrigin } from '../../store/rotation-store.js';
import { evidenceOf, type ReadEvidence } from './evidence.js';
import { rotationState, type RotationState } from './state.js';

/** A rotation as people and programs see it. No key. */
export interface RotationView {
  readonly requestId: Guid;
  readonly volumeId: Guid;
  readonly keyId: Guid;
  readonly state: RotationState;
  /** What it waits for, or what went wrong, in a sentence. */
  readonly detail: string;
  /** The client with the newest report of those that proved the key; null: none has. */
  readonly clientId: Guid | null;
  readonly machineName: string;
  readonly domain: string;
  readonly origin: RotationOrigin;
  readonly requestedBy: string;
  readonly exposedAtMs: number | null;
  readonly openedAtMs: number;
  readonly notBeforeMs: number;
  readonly deadlineMs: number;
  /** Open and past its deadline. */
  readonly overdue: boolean;
  readonly closedAtMs: number | null;
  readonly closedBy: string;
  readonly closeReason: string;
  /** The key ID that takes its place: committed, or else reported or claimed. */
  readonly newKeyId: Guid | null;
  /** The machine reports the volume since the exposure with its protection off. */
  readonly protectionOff: boolean;
}

/** What a request looks like at a moment. */
export function rotationView(facts: RotationFacts, nowMs: number): RotationView {
  const { request } = facts;
  const evidence = evidenceOf(facts);
  const state = rotationState(evidence);
  const [holder] = evidence.holders;
  return {
    requestId: request.requestId,
    volumeId: request.volumeId,
    keyId: request.keyId,
    state,
    detail: detailOf(state, facts, evidence, nowMs),
    clientId: holder?.clientId ?? null,
    machineName: holder?.machineName ?? '',
    domain: holder?.domain ?? '',
    origin: request.origin,
    requestedBy: request.requestedBy,
    exposedAtMs: facts.exposedAtMs,
    openedAtMs: request.openedAtMs,
    notBeforeMs: request.notBeforeMs,
    deadlineMs: request.deadlineMs,
    overdue: request.closedAs === null && request.deadlineMs < nowMs,
    closedAtMs: request.closedAtMs,
    closedBy: request.closedBy,
    closeReason: request.closeReason,
    newKeyId: evidence.newKeyId,
    protectionOff: evidence.holders.some(
      ({ report, baseline }) =>
        report?.protection === 'OFF' && (baseline === null || report.sequence > baseline.sequence),
    ),
  };
}

function detailOf(
  state: RotationState,
  { request, holders }: RotationFacts,
  { claim, newKeyId, heldElsewhere }: ReadEvidence,
  nowMs: number,
): string {
  switch (state) {
    case 'REQUIRED':
      if (holders.length === 0) return 'no client has proved this key: nobody can be told';
      return request.notBeforeMs > nowMs
        ? 'waits for its turn'
        : 'waits for the next message of a client that proved the key';
    case 'DELIVERED':
      return claim?.outcome === 'VOLUME_ABSENT'
        ? 'the client was told; the volume is not there'
        : 'the client was told; it has not escrowed a new key yet';
    case 'ESCROWED':
      return heldElsewhere
        ? 'another machine that has the key reports it'
        : 'the new key is committed; the exposed one is still reported';
    case 'COMPLETED':
      return 'the new key is committed and the exposed one is gone';
    case 'AT_RISK':
      return newKeyId === null
        ? 'the exposed key is gone and no new one is committed: what the drive has now is not in the site'
        : `the drive has the key ${newKeyId}, which the site cannot read`;
    case 'FAILED':
      return `the client failed${claimError(claim)}; it goes on trying`;
    case 'REPLACED':
      return 'the machine has another OS volume since';
    case 'ABANDONED':
      return `given up by ${request.closedBy}: ${request.closeReason}; the key stays exposed`;
    default:
      return assertNever(state);
  }
}

function claimError(claim: ReadEvidence['claim']): string {
  const parts = [
    ...(claim?.errorCode === null || claim === null ? [] : [hresult(claim.errorCode)]),
    ...(claim?.errorText === null || claim === null ? [] : [claim.errorText]),
  ];
  return parts.length === 0 ? '' : `: ${parts.join(' ')}`;
}

/** As Windows writes codes of 32 bits; others as numbers. */
function hresult(code: bigint): string {
  const bits = BigInt.asUintN(32, code);
  return BigInt.asIntN(32, code) === code || bits === code
    ? `0x${bits.toString(16).toUpperCase().padStart(8, '0')}`
    : String(code);
}
