import { describe, expect, it } from 'vitest';
import { newGuid, type Guid } from '../../../src/protocol/guid.js';
import {
  auditHash,
  type AuditEntry,
  type AuditWrite,
  type AuditWritten,
  type ExposureWrite,
  type IncidentRow,
} from '../../../src/store/disclosure-store.js';
import type { SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { DATA_KEY, hex, id, register, siteSeed, T0 } from '../world.js';
import { escrow, send } from './commits.js';

/** A busy test server takes seconds; what is tested here is not the time. */
const PATIENT_MS = 60_000;
/** Text that a careless store changes. */
const AWKWARD = 'Ω \'quoted\' "twice" [x] \\ 😀 é\u0301 %_ ~1 end  ';

export const entry = (change: Partial<AuditEntry> = {}): AuditEntry => ({
  requestId: newGuid(),
  atMs: T0 + 1,
  source: 'Helpdesk',
  result: 'Successful',
  actor: 'contoso\\desk',
  helpdeskUser: 'CONTOSO\\desk',
  endUser: '',
  machine: 'CONTOSO\\PC1',
  keyType: 'Recovery Key Password',
  keyId: id('key', 1),
  reason: 'Lost PIN',
  ticket: '',
  detail: '',
  ...change,
});

const exposure = (
  key: number,
  volume: number,
  change: Partial<ExposureWrite['rotation']> = {},
): ExposureWrite => ({
  exposureId: newGuid(),
  keyId: id('key', key),
  volumeId: id('volume', volume),
  rotation: {
    ...{ requestId: newGuid(), deadlineMs: T0 + 1000, notBeforeMs: T0, origin: 'DISCLOSURE' },
    ...change,
  },
});

const write = (change: Partial<AuditWrite> = {}): AuditWrite => ({
  ...{ entry: entry(), exposures: [], limit: null, withinMs: PATIENT_MS },
  ...change,
});

/** Audit, exposure, incidents. */
export function disclosure(make: MakeDatabase): void {
  const fresh = async (): Promise<[SiteStore, Awaited<ReturnType<MakeDatabase>>]> => {
    const database = await make();
    const store = await database.open();
    await store.createSite(siteSeed());
    await register(store, 1, 2, 3);
    return [store, database];
  };
  const written = (result: AuditWritten | null): Extract<AuditWritten, { kind: 'written' }> => {
    if (result?.kind !== 'written') throw new Error(`not written: ${result?.kind ?? 'null'}`);
    return result;
  };

  describe('audit and disclosure', () => {
    it('chains rows, whoever writes at once, and gives texts back as they were hashed', async () => {
      const [store, database] = await fresh();
      const other = await database.open();
      const texts = { reason: AWKWARD, detail: AWKWARD, machine: AWKWARD, ticket: ' blank at the ends ' };
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
          (n % 2 === 0 ? store : other).disclosure.writeAudit(
            write({ entry: entry({ ...texts, atMs: T0 + n }) }),
          ),
        ),
      );
      const sequences = results.map((one) => Number(written(one).sequence)).sort((a, b) => a - b);
      expect(sequences).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
      const rows = await store.disclosure.auditAfter(0n, 100);
      let previous: Uint8Array = Buffer.alloc(32);
      for (const row of rows) {
        expect(hex(row.previousHash)).toBe(hex(previous));
        expect(hex(row.hash)).toBe(hex(auditHash(row, row.sequence, previous)));
        expect(row).toMatchObject({ ...texts, source: 'Helpdesk', actor: 'contoso\\desk' });
        previous = row.hash;
      }
      const head = await store.disclosure.auditHead();
      expect([head.sequence, hex(head.hash)]).toEqual([12n, hex(previous)]);
      expect((await store.disclosure.auditAfter(10n, 1)).map((row) => row.sequence)).toEqual([11n]);
      await Promise.all([store.close(), other.close()]);
    });

    it('writes a request once, and finds it by its id', async () => {
      const [store] = await fresh();
      const row = entry({ keyId: 'what was typed' });
      expect(await store.disclosure.findAudit(row.requestId)).toBeNull();
      await store.disclosure.writeAudit(write({ entry: row }));
      await expect(store.disclosure.writeAudit(write({ entry: row }))).rejects.toMatchObject({
        code: 'STORE_FAILED',
      });
      expect(await store.disclosure.findAudit(row.requestId)).toMatchObject({ ...row, sequence: 1n });
      expect((await store.disclosure.auditHead()).sequence).toBe(1n);
      await store.close();
    });

    it('counts a person, an hour and what was shown, and writes nothing beyond the limit', async () => {
      const [store] = await fresh();
      const limit = { sinceMs: T0, most: 2 };
      await store.disclosure.writeAudit(write({ entry: entry({ atMs: T0 - 1 }) }));
      await store.disclosure.writeAudit(write({ entry: entry({ result: 'Failed' }) }));
      await store.disclosure.writeAudit(write({ entry: entry({ actor: 'contoso\\other' }) }));
      await store.disclosure.writeAudit(write({ entry: entry({ keyType: 'Recovery Key ID' }) }));
      const results = await Promise.all(
        [1, 2, 3, 4].map(() => store.disclosure.writeAudit(write({ limit, exposures: [exposure(1, 1)] }))),
      );
      expect(results.map(({ kind }) => kind).sort()).toEqual(['limited', 'limited', 'written', 'written']);
      expect(results.find(({ kind }) => kind === 'limited')).toMatchObject({ shown: 2 });
      expect((await store.disclosure.auditHead()).sequence).toBe(6n);
      expect(await store.disclosure.auditAfter(0n, 100)).toHaveLength(6);
      await store.close();
    });

    it('records the ranks of every client that sent the key, and of none that names it', async () => {
      const [store, database] = await fresh();
      const key = { key: 1, password: 'one' };
      await send(store, [escrow(1, { sequence: 7, volumes: [{ volume: 1, protectors: [key] }] })]);
      await send(store, [escrow(2, { client: 2, sequence: 3, volumes: [{ volume: 1, protectors: [key] }] })]);
      // The third only names it; the second has moved on since.
      await send(store, [
        escrow(3, { client: 3, sequence: 9, volumes: [{ volume: 1, protectors: [{ key: 1 }] }] }),
      ]);
      await send(store, [
        escrow(4, { client: 2, sequence: 5, volumes: [{ volume: 1, protectors: [{ key: 2 }] }] }),
      ]);
      const shown = exposure(1, 1);
      const { rotations, sequence } = written(
        await store.disclosure.writeAudit(write({ exposures: [shown] })),
      );
      const ranks = await database.sql(
        'SELECT ClientId, Epoch, Sequence FROM MPE_ExposureRanks ORDER BY Sequence',
      );
      expect(ranks.map((row) => [row['ClientId'], Number(row['Sequence'])])).toEqual([
        [id('client', 2), 5],
        [id('client', 1), 7],
      ]);
      expect(rotations).toEqual([
        { keyId: shown.keyId, volumeId: shown.volumeId, requestId: shown.rotation.requestId },
      ]);
      const exposures = await database.sql('SELECT KeyId, Cause, AuditSequence, Actor FROM MPE_Exposures');
      expect(exposures).toEqual([
        { KeyId: shown.keyId, Cause: 'DISCLOSURE', AuditSequence: Number(sequence), Actor: 'contoso\\desk' },
      ]);
      for (const [actor, keyId, isShown] of [
        ['contoso\\desk', shown.keyId, true],
        ['contoso\\other', shown.keyId, false],
        ['contoso\\desk', id('key', 99), false],
      ] as const)
        expect(await store.disclosure.wasShownTo(actor, keyId, shown.volumeId)).toBe(isShown);
      // Shown again: the same request, by the earlier times.
      const again = written(
        await store.disclosure.writeAudit(write({ exposures: [exposure(1, 1, { deadlineMs: T0 + 10 })] })),
      );
      expect(again.rotations).toEqual(rotations);
      const requests = await database.sql('SELECT Origin, RequestedBy FROM MPE_RotationRequests');
      expect(requests).toEqual([{ Origin: 'DISCLOSURE', RequestedBy: 'contoso\\desk' }]);
      // In nobody's current set: nothing to rotate.
      await send(store, [
        escrow(5, {
          client: 1,
          sequence: 8,
          volumes: [{ volume: 2, protectors: [{ key: 5, password: 'x' }] }],
        }),
      ]);
      await send(store, [
        escrow(6, {
          client: 1,
          sequence: 9,
          volumes: [{ volume: 2, protectors: [{ key: 6, password: 'y' }] }],
        }),
      ]);
      expect(
        written(await store.disclosure.writeAudit(write({ exposures: [exposure(5, 2)] }))).rotations,
      ).toEqual([]);
      await store.close();
    });

    it('reads secrets with generations, proofs, users and what each machine says', async () => {
      const [store] = await fresh();
      const volumes = (password: string, label: string) => [
        { volume: 1, protectors: [{ key: 1, password, package: `package ${label}` }] },
      ];
      await send(store, [escrow(1, { volumes: volumes('one', 'a') })]);
      await send(store, [escrow(2, { client: 2, volumes: volumes('two', 'a') })]);
      const users = [
        { domain: 'CONTOSO', name: 'alice' },
        { domain: 'contoso', name: 'Bob' },
      ];
      await send(store, [
        { client: 1, message: 3, sequence: 3, state: { machineName: 'NEW1', domain: 'D', users } },
      ]);
      const secrets = await store.disclosure.readKey(id('key', 1));
      expect(secrets.map(({ identity: { kind } }) => kind).sort()).toEqual([
        'KEY_PACKAGE',
        'RECOVERY_PASSWORD',
        'RECOVERY_PASSWORD',
      ]);
      const own = secrets.find(({ holders }) => holders.length === 1 && holders[0]?.machineName === 'NEW1');
      expect(own).toMatchObject({ volumeType: 'OS', exposedAtMs: null });
      expect(own?.holders).toEqual([
        {
          ...{ clientId: id('client', 1), machineName: 'NEW1', domain: 'D', provenAtMs: T0, current: true },
          ...{ reportedAtMs: T0, driveLabel: 'C:', volumeType: 'OS', users },
        },
      ]);
      expect(own?.generations).toMatchObject([{ generation: 1, healthy: true, storedAtMs: T0 }]);
      expect(Buffer.from(own?.generations[0]?.content.bytes ?? []).toString()).toBe('one');
      // With a certificate plain text counts no more; a successor comes first.
      await store.insertDataKey(DATA_KEY);
      await send(store, [escrow(4, { sequence: 4, volumes: volumes('one', 'a') })], {
        dataKeyId: DATA_KEY.dataKeyId,
      });
      await store.disclosure.writeAudit(write({ exposures: [exposure(1, 1)] }));
      const later = (await store.disclosure.readKey(id('key', 1))).find(
        ({ identity }) => hex(identity.secretId) === hex(own!.identity.secretId),
      );
      expect(later?.generations.map(({ generation, healthy }) => [generation, healthy])).toEqual([
        [2, true],
        [1, false],
      ]);
      expect(later?.exposedAtMs).toBe(T0 + 1);
      expect(await store.disclosure.readKey(id('key', 99))).toEqual([]);
      await store.close();
    });

    it('reads TPM owner authorizations, machines by name and current keys', async () => {
      const [store] = await fresh();
      await send(store, [{ client: 1, message: 1, sequence: 1, tpm: 'first' }], { atMs: T0 });
      await send(store, [{ client: 1, message: 2, sequence: 2, tpm: 'second' }], { atMs: T0 + 5 });
      const auths = await store.disclosure.readOwnerAuths(id('client', 1));
      expect(auths.map(({ generations }) => Buffer.from(generations[0]!.content.bytes).toString())).toEqual([
        'second',
        'first',
      ]);
      expect(auths[0]?.holders).toMatchObject([{ clientId: id('client', 1), machineName: 'PC1' }]);
      expect(await store.disclosure.readOwnerAuths(id('client', 2))).toEqual([]);
      for (const name of ['PC2', 'pc2', 'contoso\\Pc2']) {
        expect(await store.disclosure.findMachines(name)).toEqual([id('client', 2)]);
      }
      for (const name of ['PC', 'OTHER\\PC2', ''])
        expect(await store.disclosure.findMachines(name)).toEqual([]);
      await send(store, [
        escrow(3, {
          sequence: 3,
          volumes: [{ volume: 1, protectors: [{ key: 1, password: 'x' }, { key: 2 }] }],
        }),
      ]);
      expect(await store.disclosure.currentKeys([id('client', 1), id('client', 2)])).toEqual([
        {
          clientId: id('client', 1),
          machineName: 'PC1',
          domain: 'CONTOSO',
          volumeId: id('volume', 1),
          keyId: id('key', 1),
          provenAtMs: T0,
        },
      ]);
      await store.close();
    });

    it('searches by what people filter', async () => {
      const [store] = await fresh();
      const rows = [
        entry({ atMs: T0 + 1, helpdeskUser: 'CONTOSO\\Desk_1', endUser: 'CONTOSO\\alice' }),
        entry({
          atMs: T0 + 2,
          result: 'Failed',
          keyType: 'TPM Password Hash',
          keyId: '',
          machine: 'CONTOSO\\PC%',
        }),
        entry({
          atMs: T0 + 3,
          source: 'Self-Service Portal',
          helpdeskUser: 'CONTOSO\\alice',
          endUser: 'CONTOSO\\alice',
        }),
      ];
      for (const row of rows) await store.disclosure.writeAudit(write({ entry: row }));
      const found = async (
        ...[filter, limit = 10]: [Parameters<SiteStore['disclosure']['searchAudit']>[0], number?]
      ) => (await store.disclosure.searchAudit(filter, limit)).map(({ sequence }) => Number(sequence));
      expect(await found({})).toEqual([3, 2, 1]);
      expect(await found({}, 2)).toEqual([3, 2]);
      expect(await found({ before: 3n })).toEqual([2, 1]);
      expect(await found({ result: 'Failed' })).toEqual([2]);
      expect(await found({ source: 'Self-Service Portal' })).toEqual([3]);
      expect(await found({ keyType: 'TPM Password Hash' })).toEqual([2]);
      expect(await found({ user: { kind: 'any', part: 'ALICE' } })).toEqual([3, 1]);
      expect(await found({ user: { kind: 'helpdesk', part: 'desk_' } })).toEqual([1]);
      expect(
        await found({ user: { kind: 'end-user', part: 'alice' }, fromMs: T0 + 3, toMs: T0 + 4 }),
      ).toEqual([3]);
      expect(await found({ askedBy: 'end-user' })).toEqual([3]);
      expect(await found({ askedBy: 'helpdesk', result: 'Successful' })).toEqual([1]);
      expect(await found({ machine: 'pc%' })).toEqual([2]);
      expect(await found({ keyId: id('key', 1).slice(0, 8).toUpperCase() })).toEqual([3, 1]);
      await store.close();
    });

    it('keeps the place of a sink, only forwards', async () => {
      const [store] = await fresh();
      expect(await store.disclosure.readSink('a')).toBe(0n);
      await store.disclosure.saveSink('a', 5n, T0);
      await store.disclosure.saveSink('a', 3n, T0);
      await store.disclosure.saveSink('b', 9_007_199_254_740_993n, T0);
      expect(await store.disclosure.readSink('a')).toBe(5n);
      expect(await store.disclosure.readSink('b')).toBe(9_007_199_254_740_993n);
      await store.close();
    });

    it('an incident needs two people, is confirmed once, and ends by its time or by somebody', async () => {
      const [store] = await fresh();
      const incidentId = newGuid();
      const machines: Guid[] = [id('client', 1), id('client', 2)];
      const incident: IncidentRow = {
        ...{
          incidentId,
          title: AWKWARD,
          lastsMinutes: 60,
          rotationsPerHour: 100,
          proposedBy: 'a',
          proposedAtMs: T0,
        },
        ...{
          confirmedBy: null,
          confirmedAtMs: null,
          endsAtMs: null,
          endedBy: null,
          endedAtMs: null,
          machines,
        },
      };
      const audit = (): AuditWrite => write({ entry: entry({ keyType: '', keyId: '' }) });
      written(await store.disclosure.proposeIncident(incident, audit()));
      expect(await store.disclosure.readIncident(incidentId)).toEqual(incident);
      const confirm = (by: string) =>
        store.disclosure.confirmIncident(incidentId, { by, atMs: T0 + 10, endsAtMs: T0 + 100 }, audit());
      expect(await confirm('a')).toBeNull();
      expect(await store.disclosure.inIncident(machines, T0 + 20)).toEqual([]);
      const open = (atMs: number) => store.disclosure.openIncidents(atMs);
      expect(await open(T0 + 20)).toEqual([]);
      written(await confirm('b'));
      expect(await open(T0 + 20)).toEqual([incidentId]);
      expect(await confirm('c')).toBeNull();
      expect(
        (await store.disclosure.inIncident([...machines, id('client', 3)], T0 + 20)).slice().sort(),
      ).toEqual(machines);
      for (const outside of [T0 + 9, T0 + 100])
        expect([await store.disclosure.inIncident(machines, outside), await open(outside)]).toEqual([[], []]);
      const end = (atMs: number) => store.disclosure.endIncident(incidentId, { by: 'a', atMs }, audit());
      expect(await end(T0 + 100)).toBeNull();
      written(await end(T0 + 50));
      expect(await end(T0 + 60)).toBeNull();
      expect(await store.disclosure.inIncident(machines, T0 + 20)).toEqual([]);
      expect(await open(T0 + 20)).toEqual([]);
      expect(await store.disclosure.readIncidents(5)).toMatchObject([
        { incidentId, confirmedBy: 'b', endsAtMs: T0 + 100, endedBy: 'a', endedAtMs: T0 + 50, machines },
      ]);
      // Three rows: what was refused left none.
      expect((await store.disclosure.auditHead()).sequence).toBe(3n);
      expect(await store.disclosure.readIncident(newGuid())).toBeNull();
      await store.close();
    });
  });
}
