import type { Guid } from '../../../protocol/guid.js';
import type { Connection } from '../connection.js';

/** Gives a client another tag. False: no such client. */
export function setClientTag(c: Connection, clientId: Guid, tag: string): boolean {
  return c.run('UPDATE MPE_Clients SET Tag = ? WHERE ClientId = ?', tag, clientId) > 0;
}
