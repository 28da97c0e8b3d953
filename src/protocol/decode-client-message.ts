import { MpeError } from '../ops/errors.js';
import { decodeBody } from './decode-body.js';
import type { DecodedMessage, MessageHead } from './client-message.js';
import { mpe } from './generated/mpe.js';
import { guidFromBytes } from './guid.js';
import { LIMITS, type BodyType } from './vocabulary.js';
import { bodyTypeWord, isBodyTypeNumber } from './wire-enums.js';
import { toBigInt, toTimeMs } from './wire.js';
import { walkFields, type WireWalk } from './wire-walk.js';

/** Field numbers of ClientMessage: the head's fields and the bodies of this release. */
const LAST_HEAD_FIELD = 8;
const BODY_FIELDS: Readonly<Record<BodyType, number>> = {
  ESCROW_RECOVERY_KEYS: 16,
  ESCROW_TPM_OWNER_AUTH: 17,
  ROTATION_RESULT: 18,
  CHECK_IN: 19,
};
const KNOWN_BODY_FIELDS: ReadonlySet<number> = new Set(Object.values(BODY_FIELDS));
const LENGTH_DELIMITED = 2;

/**
 * Reads the signed bytes of a message. It never throws: whatever the bytes are, the answer says so,
 * with the head where it can be read, because a reply can be sealed only with the head's reply key.
 *
 * Malformed are: bytes that are no protobuf, nesting beyond the decoder's limit, text that is not
 * UTF-8, a head field that breaks its rule, no body or more than one on the wire, a body that is not
 * the one `body_type` names, and more volumes, protectors or users than the contract allows.
 * Unknown fields are ignored. Ids, passwords, packages and texts stay raw.
 */
export function decodeClientMessage(bytes: Uint8Array): DecodedMessage {
  try {
    return decode(bytes);
  } catch (error) {
    // Not reachable by any known input; the promise of this function is kept all the same.
    return { kind: 'malformed', problem: error instanceof Error ? error.message : 'not decodable' };
  }
}

function decode(bytes: Uint8Array): DecodedMessage {
  const walk = walkFields(bytes);
  const { head, problem } = readHead(bytes, walk);
  const refuse = (why: string): DecodedMessage => ({
    kind: 'malformed',
    problem: why,
    ...(head === undefined ? {} : { head }),
  });
  if (walk.broken !== undefined) return refuse(`not protobuf: ${walk.broken}`);
  if (head === undefined || problem !== undefined) return refuse(problem ?? 'the head cannot be read');

  const bodies = walk.fields.filter((field) => KNOWN_BODY_FIELDS.has(field.number));
  if (bodies.length > 1) return refuse('more than one body on the wire');
  if (typeof head.bodyType === 'number') {
    if (bodies.length === 1) return refuse('body_type does not name the body that is set');
    const newer = walk.fields.some((f) => f.number > LAST_HEAD_FIELD && f.wireType === LENGTH_DELIMITED);
    return newer ? { kind: 'unknown body', head } : refuse('there is no body');
  }
  if (bodies.length === 0) return refuse('there is no body');
  if (bodies[0]?.number !== BODY_FIELDS[head.bodyType]) {
    return refuse('body_type does not name the body that is set');
  }
  try {
    const body = decodeBody(mpe.v1.ClientMessage.decode(bytes), head.bodyType);
    return { kind: 'message', message: { ...head, body } };
  } catch (error) {
    return refuse(error instanceof Error ? error.message : 'the body cannot be decoded');
  }
}

/** The head as far as it can be read, and the first rule that it breaks. */
function readHead(bytes: Uint8Array, walk: WireWalk): { head?: MessageHead; problem?: string } {
  // The head's fields alone, so that a broken body does not hide the reply key.
  const parts = walk.fields
    .filter((field) => field.number <= LAST_HEAD_FIELD)
    .map((field) => bytes.subarray(field.start, field.end));
  try {
    const raw = mpe.v1.ClientMessage.decode(Buffer.concat(parts));
    if (raw.replyKey.length !== 32) {
      return { problem: `reply_key must have 32 bytes, has ${String(raw.replyKey.length)}` };
    }
    const sequence = toBigInt(raw.sequence);
    const head: MessageHead = {
      siteGuid: guidOf(raw.siteGuid, 'site_guid'),
      messageId: guidOf(raw.messageId, 'message_id'),
      clientId: guidOf(raw.clientId, 'client_id'),
      bodyType: bodyTypeWord(raw.bodyType),
      replyKey: raw.replyKey,
      sequence: sequence < 1n ? 0n : sequence,
      createdAtMs: toTimeMs(raw.createdAtUnixMs),
      clientVersion: raw.clientVersion.slice(0, LIMITS.clientVersionChars),
    };
    if (sequence < 1n) return { head, problem: 'sequence must be 1 to 2^63-1' };
    if (!isBodyTypeNumber(raw.bodyType)) return { head, problem: 'body_type is missing' };
    if (raw.clientVersion.length > LIMITS.clientVersionChars) {
      return {
        head,
        problem: `client_version has more than ${String(LIMITS.clientVersionChars)} characters`,
      };
    }
    return { head };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : 'the head cannot be read' };
  }
}

function guidOf(bytes: Uint8Array, field: string): MessageHead['siteGuid'] {
  try {
    return guidFromBytes(bytes);
  } catch (error) {
    throw new MpeError('MALFORMED', `${field}: ${error instanceof Error ? error.message : 'not a GUID'}`);
  }
}
