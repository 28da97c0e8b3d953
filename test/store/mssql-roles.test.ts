import { randomBytes } from 'node:crypto';
import mssql from 'mssql';
import { afterAll, describe, expect, it } from 'vitest';
import type { SqlServerTarget } from '../../src/config/index.js';
import { driverConfig } from '../../src/store/mssql/driver-config.js';
import { grantsOf, grantStatement, type ProcessKind } from '../../src/store/mssql/grants.js';
import { applyServerRoles } from '../../src/store/mssql/migrate-server.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { describeSqlServer, makeSqlServerDatabase, type SqlServerDatabase } from '../support/sqlserver.js';
import { escrow, send } from './conformance/commits.js';
import { candidate, DATA_KEY, id, register, siteSeed, T0 } from './world.js';

/** Every kind of process that has a role. */
const KINDS: readonly ProcessKind[] = ['gateway', 'worker', 'recovery'];

describe('the roles', () => {
  const of = (kind: ProcessKind, right: string): string[] =>
    grantsOf(kind)
      .filter((grant) => grant.right === right)
      .map((grant) => grant.object);

  it('let a gateway write nothing, and nobody change what only grows', () => {
    for (const right of ['INSERT', 'UPDATE', 'DELETE']) expect(of('gateway', right)).toEqual([]);
    const grows =
      /^MPE_(SiteDocuments|FingerprintKeys|DataKeys|DataKeyWraps|ClientKeys|ClientFlags|MachineEvents|Volumes|Keys|KeySecrets|KeyProofs|TpmOwnerAuths|TpmOwnerAuthSecrets|TpmOwnerAuthProofs|SecretDamage|RotationReports|Exposures|ExposureRanks|Audit)$/;
    for (const kind of KINDS) {
      expect([...of(kind, 'UPDATE'), ...of(kind, 'DELETE')].filter((name) => grows.test(name))).toEqual([]);
    }
  });

  it('let nobody but the recovery service read a stored secret or a wrapped data key', () => {
    for (const kind of ['gateway', 'worker'] as const) {
      const read = grantsOf(kind).filter(({ right }) => right === 'SELECT');
      const secret = /^MPE_(KeySecrets|TpmOwnerAuthSecrets|DataKeyWraps)$/;
      const open = read.filter(
        ({ object, column }) => secret.test(object) && (column === null || /Content|Wrapped$/.test(column)),
      );
      expect(open).toEqual([]);
    }
  });

  it('are read as statements that give them again', () => {
    expect(
      grantsOf(
        'worker',
        'GRANT SELECT, INSERT ON dbo.MPE_A TO mpe_worker;\nGRANT UPDATE ON dbo.MPE_B (x, y) TO mpe_worker;\n',
      ).map((grant) => grantStatement(grant, 'worker')),
    ).toEqual([
      'GRANT SELECT ON dbo.MPE_A TO mpe_worker;',
      'GRANT INSERT ON dbo.MPE_A TO mpe_worker;',
      'GRANT UPDATE ON dbo.MPE_B (x) TO mpe_worker;',
      'GRANT UPDATE ON dbo.MPE_B (y) TO mpe_worker;',
    ]);
  });
});

describeSqlServer('logins with the roles', () => {
  const logins: { readonly database: SqlServerDatabase; readonly name: string }[] = [];
  afterAll(async () => {
    for (const { database, name } of logins) {
      await database.sql(`DROP USER IF EXISTS ${name};`).catch(() => undefined);
      await database.sql(`DROP LOGIN ${name};`).catch(() => undefined);
    }
  });

  /** A login of its own with one role, or none. */
  async function login(database: SqlServerDatabase, role: string | null): Promise<SqlServerTarget> {
    const name = `mpe_t_${randomBytes(4).toString('hex')}`;
    const secret = `Aa1-${randomBytes(12).toString('hex')}`;
    logins.push({ database, name });
    await database.sql(`CREATE LOGIN ${name} WITH PASSWORD = '${secret}';`);
    await database.sql(`CREATE USER ${name} FOR LOGIN ${name};`);
    if (role !== null) await database.sql(`ALTER ROLE ${role} ADD MEMBER ${name};`);
    return { ...database.target, login: { ...database.target.login, kind: 'sql', user: name, secret } };
  }

  async function filled(): Promise<SqlServerDatabase> {
    const database = await makeSqlServerDatabase();
    const store = await database.open();
    await store.createSite(siteSeed());
    await store.insertDataKey(DATA_KEY);
    await register(store, 1);
    await applyServerRoles(database.target);
    await applyServerRoles(database.target);
    return database;
  }

  async function as(target: SqlServerTarget, kind: ProcessKind): Promise<SiteStore> {
    return openStore({ kind: 'mssql', target }, { readOnly: kind === 'gateway', kind });
  }

  /** What the server says to a statement of a login. */
  async function refused(target: SqlServerTarget, ...statements: readonly string[]): Promise<void> {
    const pool = new mssql.ConnectionPool(driverConfig(target, 1));
    await pool.connect();
    try {
      for (const statement of statements) {
        await expect(pool.request().batch(statement), statement).rejects.toThrow(/permission|owner/i);
      }
    } finally {
      await pool.close();
    }
  }

  it('do their work and nothing else', async () => {
    const database = await filled();

    const worker = await login(database, 'mpe_worker');
    const store = await as(worker, 'worker');
    try {
      await register(store, 2);
      const message = escrow(1, {
        volumes: [{ volume: 1, protectors: [{ key: 1, password: 'one', package: 'p' }] }],
      });
      await send(store, [message], { atMs: T0, dataKeyId: DATA_KEY.dataKeyId });
      const state = { machineName: 'PC1', users: [{ domain: 'CONTOSO', name: 'ann' }] };
      await send(store, [{ client: 1, message: 2, sequence: 2, state }], { atMs: T0 });
      await send(store, [{ client: 1, message: 3, sequence: 3, tpm: 'owner' }], {
        atMs: T0,
        dataKeyId: DATA_KEY.dataKeyId,
      });
      await store.classify([candidate(message)]);
      await store.probeWrite('worker');
      await store.pruneOutcomes(T0 - 1);
      await store.readSealingKeys();
      await store.readPolicies();
      await store.insertDataKey({ ...DATA_KEY, dataKeyId: id('misc', 77) });
    } finally {
      await store.close();
    }
    await refused(
      worker,
      'SELECT Content FROM dbo.MPE_KeySecrets;',
      'SELECT * FROM dbo.MPE_TpmOwnerAuthSecrets;',
      'SELECT Wrapped FROM dbo.MPE_DataKeyWraps;',
      'SELECT RecoveryKey FROM dbo.RecoveryAndHardwareCore_Keys;',
      "UPDATE dbo.MPE_Keys SET KeyIdPrefix = 'x';",
      'DELETE FROM dbo.MPE_KeyProofs;',
      'UPDATE dbo.MPE_EnrolmentTokens SET UsesAllowed = 9;',
      'SELECT * FROM dbo.MPE_Audit;',
      "INSERT INTO dbo.MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause) VALUES (NEWID(), NEWID(), NEWID(), SYSUTCDATETIME(), 'x');",
      'CREATE TABLE dbo.MPE_Mine (a int);',
    );

    const gateway = await login(database, 'mpe_gateway');
    const reader = await as(gateway, 'gateway');
    try {
      expect((await reader.readSite())?.name).toBe('Contoso');
      await reader.readSiteDocument();
      expect((await reader.findClient(id('client', 1)))?.epoch).toBe(1);
      expect((await reader.findOutcome(id('client', 1), id('message', 1)))?.disposition).toBe('COMMITTED');
      expect(await reader.findQuarantined(id('client', 1), id('message', 9))).toBeNull();
      expect(await reader.findDeadLetter(id('client', 1), id('message', 9))).toBeNull();
    } finally {
      await reader.close();
    }
    await refused(
      gateway,
      'SELECT * FROM dbo.MPE_KeySecrets;',
      'SELECT * FROM dbo.MPE_SealingKeys;',
      'SELECT * FROM dbo.MPE_EnrolmentTokens;',
      'DELETE FROM dbo.MPE_Outcomes;',
      "INSERT INTO dbo.MPE_Probe (ProbedBy, Count, ProbedAt) VALUES ('x', 1, SYSUTCDATETIME());",
    );

    const recovery = await login(database, 'mpe_recovery');
    const canary = await as(recovery, 'recovery');
    try {
      const [secret] = await canary.secretsPage(null, 10);
      expect(secret?.content.bytes.length).toBeGreaterThan(0);
      expect(await canary.readDataKeys()).not.toEqual([]);
      await canary.secretsStoredAfter(null, 10);
      await canary.counts();
      await canary.probeWrite('recovery');
      await canary.insertDataKey({ ...DATA_KEY, dataKeyId: id('misc', 78) });
      if (secret !== undefined)
        await canary.markDamaged(secret.identity.secretId, secret.generation, 'x', T0);
      await canary.openRotationRequest(
        { requestId: id('misc', 80), volumeId: id('volume', 1), keyId: id('key', 1), deadlineMs: T0 },
        T0,
      );
    } finally {
      await canary.close();
    }
    await refused(
      recovery,
      'INSERT INTO dbo.MPE_KeySecrets (SecretId, Generation, Form, Content, StoredAt) VALUES (0x00, 1, 1, 0x00, SYSUTCDATETIME());',
      'DELETE FROM dbo.MPE_Audit;',
      "UPDATE dbo.MPE_Clients SET State = 'BLOCKED';",
    );
  }, 300_000);

  it('without their role are refused at the start, with each missing grant and its statement', async () => {
    const database = await filled();
    // A gateway's login sees the schema, so what it lacks as a worker is told right by right.
    const gateway = await login(database, 'mpe_gateway');
    const error = await as(gateway, 'worker').catch((caught: unknown) => caught as Error);
    expect(error).toMatchObject({ code: 'STORE_FAILED' });
    const { message } = error as Error;
    expect(message).toContain('GRANT INSERT ON dbo.MPE_Outcomes TO mpe_worker;');
    expect(message).toContain('GRANT UPDATE ON dbo.MPE_EnrolmentTokens (UsesLeft) TO mpe_worker;');
    expect(message).not.toContain('GRANT SELECT ON dbo.MPE_Outcomes TO');
    await expect(as(await login(database, null), 'gateway')).rejects.toMatchObject({
      code: expect.stringMatching(/SCHEMA_MISMATCH|STORE_FAILED/) as string,
    });
  }, 120_000);
});
