import { oneOpeningAKey } from '../../one-opening-a-key.js';
import type { RotationDemand, RotationOpened } from '../../rotation-store.js';
import { again } from '../again.js';
import { guid } from '../columns.js';
import type { Connection } from '../connection.js';
import { rowsOf } from '../parameters.js';
import { firstSet } from '../session.js';
import { openRotations } from './open-rotations.js';
import { writeExposures } from './write-exposures.js';

/**
 * Marks keys as exposed and asks for their rotation; all in one transaction. A demand whose exposure
 * is there already was made before and changes nothing, so that a lost answer may be asked for again.
 */
export async function open(
  connection: Connection,
  demands: readonly RotationDemand[],
): Promise<RotationOpened[]> {
  if (demands.length === 0) return [];
  const openings = oneOpeningAKey(demands);
  const opened = await again('asking for rotations', () =>
    connection.transaction(async (tx) => {
      const known = firstSet(
        await tx.query(
          `SELECT e.ExposureId FROM MPE_Exposures e
           JOIN OPENJSON(@ids) WITH (Id uniqueidentifier '$.Id') j ON j.Id = e.ExposureId`,
          { ids: rowsOf(openings.map(({ exposureId }) => ({ Id: exposureId }))) },
        ),
      ).map((row) => guid(row, 'ExposureId'));
      const before = openings.filter(({ exposureId }) => known.includes(exposureId));
      const fresh = openings.filter(({ exposureId }) => !known.includes(exposureId));
      const done = before.map(({ volumeId, keyId, requestId }) => ({
        ...{ volumeId, keyId, requestId },
        opened: false,
      }));
      if (fresh.length === 0) return done;
      await writeExposures(
        tx,
        fresh.map(({ exposureId, volumeId, keyId, origin, requestedBy, atMs }) => ({
          ...{ exposureId, volumeId, keyId, atMs, cause: origin, actor: requestedBy, auditSequence: null },
        })),
      );
      return [...done, ...(await openRotations(tx, fresh))];
    }),
  );
  return demands.flatMap((demand) =>
    opened.filter(({ volumeId, keyId }) => volumeId === demand.volumeId && keyId === demand.keyId),
  );
}
