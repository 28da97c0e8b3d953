import { MpeError } from '../../../ops/errors.js';
import { personKey } from '../../../store/disclosure-store.js';
import { grantOf } from '../../roles.js';
import { abandonRotation } from '../../rotation/abandon.js';
import { findRotation, listRotations } from '../../rotation/list.js';
import { requestRotations, type RotationTarget as StoredTarget } from '../../rotation/request.js';
import { recordDeed, type Doer } from '../../audit/record-deed.js';
import { targetsInWords } from '../../rotation/targets-in-words.js';
import type { RotationView } from '../../rotation/view.js';
import { accountsOf } from '../../search/accounts-of.js';
import type { Caller, RecoveryServices, RotationLine, RotationTarget } from '../../services.js';
import type { ServicesContext } from '../services-context.js';

/** Machines of one name that a list takes. */
const MOST_MACHINES = 10;

/** How rotations stand, and what operators do about them. */
export function rotationServices({
  store,
  clock,
  log,
  disclosure,
}: ServicesContext): RecoveryServices['rotations'] {
  const actorOf = ({ person, source }: Caller): Doer => ({ name: person.name, source });
  return {
    list: async (filter) => {
      const now = clock.now();
      const of = {
        ...(filter.keyId === undefined ? {} : { keyId: filter.keyId }),
        ...(filter.overdue === undefined ? {} : { overdue: filter.overdue }),
      };
      const queries = (filter.open === undefined ? [true, false] : [filter.open]).map((open) => ({
        ...of,
        open,
      }));
      const machines =
        filter.machine === undefined ? null : await store.search.machinesNamed(filter.machine, MOST_MACHINES);
      const found: RotationView[] = [];
      for (const query of queries) {
        const each = machines === null ? [query] : machines.map(({ clientId }) => ({ ...query, clientId }));
        for (const one of each) found.push(...(await listRotations(store.rotation, one, filter.limit, now)));
      }
      return found.slice(0, filter.limit).map(lineOf);
    },
    watch: async (caller, requestId) => {
      const view = await findRotation(store.rotation, requestId, clock.now());
      if (view === null || !(await mayWatch(store, caller, view))) return null;
      return lineOf(view);
    },
    request: async (caller, target, deadlineMs) => {
      const nowMs = clock.now();
      const targets = targetsOf(target);
      const perHour = 'perHour' in target ? target.perHour : null;
      const words = targetsInWords(targets, perHour);
      await recordDeed(disclosure, actorOf(caller), 'Rotation requested', words);
      const opened = await requestRotations(store.rotation, targets, {
        origin: 'OPERATOR',
        requestedBy: caller.person.name,
        nowMs,
        deadlineMs,
        perHour,
      });
      const requested = opened.filter(({ requestId }) => requestId !== null).length;
      log.info({ event: 'rotation.requested', by: caller.person.name, requested });
      return { requested };
    },
    abandon: async (caller, requestId, reason) => {
      await abandonRotation(store.rotation, requestId, {
        by: caller.person.name,
        reason,
        nowMs: clock.now(),
        record: (said, detail) => recordDeed(disclosure, actorOf(caller), said, detail),
      });
      log.warn({ event: 'rotation.abandoned', by: caller.person.name, requestId }, 'a rotation was given up');
    },
  };
}

/** End users and helpdesk users see the rotation of what they may have been shown, and no other. */
async function mayWatch(
  store: Pick<ServicesContext['store'], 'search' | 'disclosure'>,
  { person }: Caller,
  view: RotationView,
): Promise<boolean> {
  switch (grantOf(person, 'rotation.watch')) {
    case 'no':
      return false;
    case 'any':
      return true;
    case 'named-user':
      // Who was shown the key is known, whoever's request was open already; whose machine it is was named then.
      return store.disclosure.wasShownTo(personKey(person.name), view.keyId, view.volumeId);
    case 'own': {
      const users = accountsOf(person.name);
      const digits = view.keyId.replaceAll('-', '');
      return (await store.search.keys({ by: 'digits', digits }, { limit: 1, users })).length > 0;
    }
  }
}

function targetsOf(target: RotationTarget): readonly StoredTarget[] {
  if ('clientIds' in target) {
    if (target.perHour < 1)
      throw new MpeError('VALUE_INVALID', 'a list is rotated at one machine an hour at least');
    return target.clientIds.map((clientId) => ({ clientId }));
  }
  return [target];
}

/** A rotation as lists show it. */
export function lineOf(view: RotationView): RotationLine {
  return {
    requestId: view.requestId,
    keyId: view.keyId,
    volumeId: view.volumeId,
    machineName: view.machineName,
    state: view.state,
    detail: view.detail,
    origin: view.origin,
    openedAtMs: view.openedAtMs,
    deadlineMs: view.deadlineMs,
    overdue: view.overdue,
    closedAtMs: view.closedAtMs,
    newKeyId: view.newKeyId,
  };
}
