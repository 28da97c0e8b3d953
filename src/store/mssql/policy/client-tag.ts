import type { Guid } from '../../../protocol/guid.js';
import { guidOf, textOf } from '../parameters.js';
import { firstRow, type Session } from '../session.js';

/** Gives a client another tag. False: no such client; a client never goes, so the order does not matter. */
export async function setClientTag(session: Session, clientId: Guid, tag: string): Promise<boolean> {
  const sets = await session.query(
    `SELECT ClientId FROM MPE_Clients WHERE ClientId = @clientId;
     UPDATE MPE_Clients SET Tag = @tag WHERE ClientId = @clientId;`,
    { clientId: guidOf(clientId), tag: textOf(tag) },
  );
  return firstRow(sets) !== undefined;
}
