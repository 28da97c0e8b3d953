import type { Guid } from '../../protocol/guid.js';
import { guid } from './columns.js';
import { rowsOf, type SqlParameter } from './parameters.js';
import type { SqlRow } from './session.js';

/** What names a message: the client that the channel authenticated, and the id that it chose. */
export interface MessageKey {
  readonly clientId: Guid;
  readonly messageId: Guid;
}

/** Joins `@keys` as `m` to a table `t` whose primary key is (ClientId, MessageId). */
export const JOIN_MESSAGE_KEYS = `
  JOIN OPENJSON(@keys) WITH (ClientId uniqueidentifier '$.c', MessageId uniqueidentifier '$.m') m
    ON t.ClientId = m.ClientId AND t.MessageId = m.MessageId`;

/** The parameter `@keys`, each key once. */
export function messageKeys(keys: readonly MessageKey[]): SqlParameter {
  const distinct = new Map(keys.map((key) => [nameOf(key), { c: key.clientId, m: key.messageId }]));
  return rowsOf([...distinct.values()]);
}

/** Values for keys in their order; null where a key has no row. */
export function inOrderOf<V extends MessageKey>(
  keys: readonly MessageKey[],
  found: readonly V[],
): (V | null)[] {
  const byName = new Map(found.map((value) => [nameOf(value), value]));
  return keys.map((key) => byName.get(nameOf(key)) ?? null);
}

/** Rows of one message id in the order of their clients, as text. */
export function byClient(a: SqlRow, b: SqlRow): number {
  return guid(a, 'ClientId') < guid(b, 'ClientId') ? -1 : 1;
}

const nameOf = (key: MessageKey): string => `${key.clientId}/${key.messageId}`;
