import { verifySiteDocument } from '../../../jose/index.js';
import { MpeError } from '../../../ops/errors.js';
import type { Guid } from '../../../protocol/guid.js';
import type { PendingRegistrationRow } from '../../../store/rows.js';
import { recordDeed } from '../../audit/record-deed.js';
import { managementPointStates } from '../../policy/service-of.js';
import type { Caller, PendingClientLine, RecoveryServices } from '../../services.js';
import type { ServicesContext } from '../services-context.js';

/** Every registration that may wait is looked through. */
const ALL = 1_000_000;

/** Registrations that wait, and gateways. */
export function clientServices({
  store,
  clock,
  log,
  disclosure,
}: ServicesContext): RecoveryServices['clients'] {
  /** Before what it tells of, so that nobody is let in without a row. */
  const record = (caller: Caller, reason: string, detail: string, result?: 'Failed'): Promise<void> =>
    recordDeed(disclosure, { name: caller.person.name, source: caller.source }, reason, detail, result);
  const refuseUnlessWaiting = async (clientId: Guid, kid: string): Promise<void> => {
    const rows = await store.readPendingRegistrations(ALL);
    if (!rows.some((row) => row.clientId === clientId && row.kid === kid))
      throw new MpeError('VALUE_INVALID', 'nothing waits for this client and key: somebody else was first');
  };
  return {
    pending: async (limit) => {
      const rows = await store.readPendingRegistrations(limit);
      return Promise.all(rows.map(async (row) => lineOf(row, await warningsOf(store, row))));
    },
    approve: async (caller, clientId, kid, tag) => {
      if (!/^[A-Za-z0-9._-]{0,64}$/.test(tag))
        throw new MpeError('VALUE_INVALID', 'a tag has at most 64 of A-Z a-z 0-9 . _ -');
      const by = caller.person.name;
      await refuseUnlessWaiting(clientId, kid);
      const said = `client ${clientId}, key ${kid}${tag === '' ? '' : `, tag ${tag}`}`;
      await record(caller, 'Client approved', said);
      const result = await store.approveRegistration(clientId, kid, { by, tag, atMs: clock.now() });
      if (result?.status !== 'REGISTERED' && result?.status !== 'ALREADY_REGISTERED') {
        const why = result?.reason ?? 'nothing waits';
        await record(caller, 'Client approved', `CONFLICT: ${said}: ${why}`, 'Failed');
        throw new MpeError('VALUE_INVALID', `it cannot be approved: ${why}`);
      }
      log.info({ event: 'client.approved', by, clientId, kid, tag, epoch: result.epoch });
    },
    reject: async (caller, clientId, kid) => {
      await refuseUnlessWaiting(clientId, kid);
      await record(caller, 'Client rejected', `client ${clientId}, key ${kid}`);
      if (!(await store.rejectRegistration(clientId, kid)))
        throw new MpeError('VALUE_INVALID', 'nothing waits for this client and key');
      log.info({ event: 'client.rejected', by: caller.person.name, clientId, kid });
    },
    managementPoints: async () => {
      const site = await store.readSite();
      if (site === null) throw new MpeError('SITE_MISMATCH', 'the database holds no site');
      const document = await verifySiteDocument((await store.readSiteDocument()).jws, site.rootThumbprint);
      const facts = { policies: await store.readPolicies(), siteVersion: site.siteVersion, document };
      const states = managementPointStates(await store.policy.managementPoints(), facts, clock.now());
      return states.map(({ gone, detail, ...state }) => ({
        ...state,
        detail: gone ? `not seen any more${detail === '' ? '' : `; ${detail}`}` : detail,
      }));
    },
  };
}

async function warningsOf(store: ServicesContext['store'], row: PendingRegistrationRow): Promise<string[]> {
  const client = await store.findClient(row.clientId);
  const alike = await store.findLookAlikes(row.clientId, row);
  return [
    ...(client === null ? [] : [`A new key of a client that is registered, epoch ${client.epoch}.`]),
    ...alike.sameHardware.map((other) => `The same hardware id as client ${other}.`),
    ...alike.sameName.map((other) => `The same machine name as client ${other}.`),
  ];
}

function lineOf(row: PendingRegistrationRow, warnings: readonly string[]): PendingClientLine {
  const { clientId, kid, machineName, domain, hardwareId, firstAskedAtMs, lastAskedAtMs } = row;
  return { clientId, kid, machineName, domain, hardwareId, firstAskedAtMs, lastAskedAtMs, warnings };
}
