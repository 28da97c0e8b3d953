import type {
  Command,
  ItemResult,
  KeyResult,
  MessageReply,
  RegistrationReply,
  ReplyStatement,
  VolumeResult,
} from '../protocol/client-message.js';
import { assertNever } from '../ops/errors.js';
import { guidFromBytes } from '../protocol/guid.js';

/**
 * A reply as fixtures write it: words, GUIDs as text, and nothing where there is nothing to say
 * (no reason, no bad group, no commands).
 */
export type ReplyView = Readonly<Record<string, unknown>>;

/** Names that an expectation may leave out although a reply has them. */
export const OPEN_NAMES: ReadonlySet<string> = new Set(['retry', 'epoch', 'highestSequence', 'sealed']);

/** Text of an id as it came: a GUID, `nil`, or `hex:…` for what is none. */
export function idText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  if (bytes.length !== 16) return `hex:${hex}`;
  return /^0*$/.test(hex) ? 'nil' : guidFromBytes(bytes);
}

const item = ({ status, reason }: ItemResult): ReplyView => ({
  status,
  ...(reason === 'NONE' ? {} : { reason }),
});

const key = (result: KeyResult): ReplyView => ({
  key: idText(result.keyId),
  ...item(result),
  ...(result.badGroup === 0 ? {} : { badGroup: result.badGroup }),
  ...(result.keyPackage === undefined ? {} : { package: item(result.keyPackage) }),
});

const volume = (result: VolumeResult): ReplyView => ({
  volume: idText(result.volumeId),
  ...item(result),
  ...(result.keys.length === 0 ? {} : { keys: result.keys.map(key) }),
});

function command(value: Command): ReplyView {
  switch (value.type) {
    case 'ROTATE_KEY':
      return { rotateKey: { request: value.requestId, volume: value.volumeId, key: value.keyId } };
    case 'ESCROW':
      return { escrow: { volume: value.volumeId, keys: [...value.keyIds].sort() } };
    default:
      return assertNever(value);
  }
}

/** The authenticated answer where there is one, else the advice beside it. */
export function messageReplyView(reply: MessageReply, statement: ReplyStatement | null): ReplyView {
  const { disposition, reason, retry } = statement ?? reply;
  const base = {
    disposition,
    ...(reason === 'NONE' ? {} : { reason }),
    retry,
    sealed: statement !== null,
  };
  if (statement === null) return base;
  const { volumes, tpmOwnerAuth, commands, registerAnew, epoch, highestSequence } = statement;
  return {
    ...base,
    ...(volumes.length === 0 ? {} : { volumes: volumes.map(volume) }),
    ...(tpmOwnerAuth === undefined ? {} : { tpmOwnerAuth: item(tpmOwnerAuth) }),
    ...(commands.length === 0 ? {} : { commands: commands.map(command) }),
    ...(registerAnew ? { registerAnew } : {}),
    epoch,
    highestSequence: highestSequence.toString(),
  };
}

/** The answer to a registration. */
export function registrationReplyView(reply: RegistrationReply): ReplyView {
  const { status, reason, retry, epoch } = reply;
  return { status, ...(reason === 'NONE' ? {} : { reason }), retry, epoch };
}

/** Walks a JSON value and replaces every text for which `change` has another. */
export function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((entry) => mapTexts(entry, change));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, mapTexts(entry, change)]));
  return value;
}
