import { oneOpeningAKey } from '../../one-opening-a-key.js';
import type { RotationDemand, RotationOpened } from '../../rotation-store.js';
import type { Connection } from '../connection.js';
import { openRotation } from './open-rotation.js';
import { writeExposure } from './write-exposure.js';

/**
 * Marks keys as exposed and asks for their rotation; all in one transaction. A demand whose exposure
 * is there already was made before and changes nothing.
 */
export function open(c: Connection, demands: readonly RotationDemand[]): RotationOpened[] {
  return c.immediate(() => {
    const opened = new Map<string, RotationOpened>();
    for (const demand of oneOpeningAKey(demands)) {
      const { volumeId, keyId } = demand;
      const exposed = writeExposure(c, {
        ...{ exposureId: demand.exposureId, volumeId, keyId, atMs: demand.atMs },
        ...{ cause: demand.origin, actor: demand.requestedBy, auditSequence: null },
      });
      opened.set(
        `${volumeId}/${keyId}`,
        exposed ? openRotation(c, demand) : { volumeId, keyId, requestId: demand.requestId, opened: false },
      );
    }
    return demands.flatMap(({ volumeId, keyId }) => opened.get(`${volumeId}/${keyId}`) ?? []);
  });
}
