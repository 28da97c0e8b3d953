import { randomBytes } from 'node:crypto';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mssql from 'mssql';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { SqlServerTarget } from '../../src/config/index.js';
import { createLogger } from '../../src/ops/log.js';
import { recordAccount } from '../../src/recovery/sign-in/record-account.js';
import { driverConfig } from '../../src/store/mssql/driver-config.js';
import { grantsOf, grantStatement, type ProcessKind } from '../../src/store/mssql/grants.js';
import { applyServerRoles, migrateServer } from '../../src/store/mssql/migrate-server.js';
import { loadMigrations } from '../../src/store/mssql/migrate.js';
import { readRolesFile } from '../../src/store/mssql/roles.js';
import { openStore } from '../../src/store/open-store.js';
import type { ArchivedSealingKeyRow, RegistrationWrite, SiteStore } from '../../src/store/site-store.js';
import { ROOT } from '../support/engine-process.js';
import { describeSqlServer, makeSqlServerDatabase, type SqlServerDatabase } from '../support/sqlserver.js';
import { tempFolder } from '../support/temp.js';
import { escrow, send } from './conformance/commits.js';
import { candidate, DATA_KEY, id, register, siteSeed, T0, type MessageSpec } from './world.js';

/** Every kind of process that has a role. */
const KINDS: readonly ProcessKind[] = ['gateway', 'worker', 'recovery', 'operator'];

/** Tables of the schema that no role may touch; nothing of the engine uses them yet. */
const NOBODYS: readonly string[] = [];
/** Views for the queries of people, who get grants of their own. */
const PUBLISHED = [
  'RecoveryAndHardwareCore_VolumeTypes',
  'RecoveryAndHardwareCore_Machines_Users',
  'RecoveryAndHardwareCore_Machines_Volumes',
  'RecoveryAndHardwareCore_Keys',
  'MPE_RequestMessages_Instant',
];

describe('the roles', () => {
  const of = (kind: ProcessKind, right: string): string[] =>
    grantsOf(kind)
      .filter((grant) => grant.right === right)
      .map((grant) => grant.object);

  it('let a gateway write nothing, and nobody change what only grows', () => {
    for (const right of ['INSERT', 'UPDATE', 'DELETE']) expect(of('gateway', right)).toEqual([]);
    const grows =
      /^MPE_(SiteDocuments|FingerprintKeys|DataKeys|DataKeyWraps|ClientKeys|ClientFlags|MachineEvents|Volumes|Keys|KeySecrets|KeyProofs|TpmOwnerAuths|TpmOwnerAuthSecrets|TpmOwnerAuthProofs|SecretDamage|RotationReports|Exposures|ExposureRanks|Audit|IncidentMachines|PolicyEvents)$/;
    for (const kind of KINDS) {
      expect([...of(kind, 'UPDATE'), ...of(kind, 'DELETE')].filter((name) => grows.test(name))).toEqual([]);
    }
  });

  it('let nobody but the recovery service read a stored secret or a wrapped data key', () => {
    for (const kind of ['gateway', 'worker', 'operator'] as const) {
      const read = grantsOf(kind).filter(({ right }) => right === 'SELECT');
      const secret = /^MPE_(KeySecrets|TpmOwnerAuthSecrets|DataKeyWraps)$/;
      const open = read.filter(
        ({ object, column }) => secret.test(object) && (column === null || /Content|Wrapped$/.test(column)),
      );
      expect(open).toEqual([]);
    }
  });

  it('name every table and view of the schema, or it is named here', () => {
    const made = loadMigrations().flatMap(({ sql }) =>
      [...sql.matchAll(/^CREATE (?:TABLE|VIEW) dbo\.(\w+)/gm)].map(([, name = '']) => name),
    );
    const granted = new Set(KINDS.flatMap((kind) => grantsOf(kind).map(({ object }) => object)));
    expect(made.length).toBeGreaterThan(30);
    expect(made.filter((name) => !granted.has(name)).sort()).toEqual([...NOBODYS, ...PUBLISHED].sort());
    expect([...granted].filter((name) => !made.includes(name))).toEqual(['MPE_Migrations']);
  });

  it('are each a line that the start of a process can read', () => {
    const lines = readRolesFile().match(/^\s*GRANT .*$/gm) ?? [];
    const read = KINDS.flatMap((kind) => grantsOf(kind));
    const rights = lines
      .filter((line) => !line.includes('ON SCHEMA::dbo'))
      .flatMap((line) => {
        const [, given = '', columns = ''] = /^GRANT ([A-Z, ]+) ON [^(]*(?:\((.*)\))?/.exec(line) ?? [];
        return given.split(', ').flatMap((right) => columns.split(', ').map((column) => [right, column]));
      });
    expect(read.length).toBe(rights.length);
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

describeSqlServer('a login with the role', () => {
  /** A login of its own with these roles. */
  async function login(database: SqlServerDatabase, ...roles: readonly string[]): Promise<SqlServerTarget> {
    const name = `mpe_t_${randomBytes(4).toString('hex')}`;
    const secret = `Aa1-${randomBytes(12).toString('hex')}`;
    await database.sql(`CREATE LOGIN ${name} WITH PASSWORD = '${secret}';`);
    await database.sql(`CREATE USER ${name} FOR LOGIN ${name};`);
    // Before the database is given back: it is another's then.
    onTestFinished(async () => {
      await patiently(() => database.sql(`DROP USER ${name};`));
      await patiently(() => database.sql(`DROP LOGIN ${name};`));
    }, 120_000);
    for (const role of roles) await database.sql(`ALTER ROLE ${role} ADD MEMBER ${name};`);
    await letReferencesBeChecked(database, name);
    return { ...database.target, login: { ...database.target.login, kind: 'sql', user: name, secret } };
  }

  /**
   * SQL Server checks a foreign key whatever the writer may do. Babelfish checks it as the writer, who
   * needs UPDATE on some column of the table referred to: here, and here alone, on its key.
   */
  async function letReferencesBeChecked(database: SqlServerDatabase, user: string): Promise<void> {
    const [server] = await database.sql('SELECT @@VERSION AS Version;');
    if (!String(server?.['Version']).includes('Babelfish')) return;
    const keys = await database.sql(
      `SELECT DISTINCT OBJECT_NAME(k.referenced_object_id) AS Parent,
         COL_NAME(c.referenced_object_id, c.referenced_column_id) AS Name
       FROM sys.foreign_keys k JOIN sys.foreign_key_columns c ON c.constraint_object_id = k.object_id;`,
    );
    await database.sql(
      [
        "IF DATABASE_PRINCIPAL_ID('mpe_t_references') IS NULL CREATE ROLE mpe_t_references;",
        ...keys.map(
          ({ Parent, Name }) =>
            `GRANT UPDATE ON dbo.${String(Parent)} (${String(Name)}) TO mpe_t_references;`,
        ),
        `ALTER ROLE mpe_t_references ADD MEMBER ${user};`,
      ].join('\n'),
    );
  }

  /** A connection that was closed is seen by the server a moment later. */
  async function patiently(work: () => Promise<unknown>): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await work();
        return;
      } catch (error) {
        if (tries === 20) throw error;
      }
      await sleep(300);
    }
  }

  /** A site with one client, one secret of it, a dead letter; the roles twice, as after an upgrade. */
  async function filled(): Promise<SqlServerDatabase> {
    const database = await makeSqlServerDatabase();
    const store = await database.open();
    await store.createSite(siteSeed());
    await store.insertDataKey(DATA_KEY);
    await register(store, 1);
    await committed(store, message(1, 'one'));
    await applyServerRoles(database.target);
    await applyServerRoles(database.target);
    return database;
  }

  const message = (n: number, password: string) =>
    escrow(n, { volumes: [{ volume: n, protectors: [{ key: n, password, package: `package ${n}` }] }] });

  async function committed(store: SiteStore, spec: MessageSpec): Promise<void> {
    const replies = await send(store, [spec], { atMs: T0, dataKeyId: DATA_KEY.dataKeyId });
    expect(replies).toEqual(['COMMITTED']);
  }

  const dead = {
    ...{ clientId: id('client', 1), messageId: id('message', 50), bodyType: 3, cause: 'HANDLER_FAILED' },
    ...{ detail: '', sealed: 'x', release: '0.1.0', resends: 0, deadAtMs: T0, redrivenAtMs: null },
  };

  async function as<T>(
    target: SqlServerTarget,
    kind: ProcessKind,
    work: (store: SiteStore) => Promise<T>,
  ): Promise<T> {
    const store = await openStore({ kind: 'mssql', target }, { readOnly: kind === 'gateway', kind });
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  /** What the server says to statements of a login. */
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

  it('mpe_worker commits, registers and keeps; it reads no secret', async () => {
    const database = await filled();
    const worker = await login(database, 'mpe_worker');
    await as(worker, 'worker', async (store) => {
      await register(store, 2);
      await committed(store, message(2, 'two'));
      await committed(store, message(3, 'one'));
      const state = { machineName: 'PC1', users: [{ domain: 'CONTOSO', name: 'ann' }] };
      await committed(store, { client: 1, message: 4, sequence: 4, state });
      await committed(store, { client: 1, message: 5, sequence: 5, tpm: 'owner' });
      await store.classify([candidate(message(1, 'one'))]);
      expect(await store.commitRegistration(waiting(7))).toMatchObject({ status: 'PENDING' });
      expect(await store.commitRegistration({ ...waiting(8), kid: 'kid-of-1' })).toMatchObject({
        reason: 'KEY_IN_USE',
      });
      const held = { ...dead, kid: 'kid-1', reason: 'SEALING_KEY_UNKNOWN', attempts: 1 };
      const { clientId, sealed, kid } = held;
      await store.quarantine(
        {
          ...{ clientId, messageId: id('message', 51), bodyType: 3, kid, sealed, attempts: 1 },
          ...{ reason: 'SEALING_KEY_UNKNOWN', firstAtMs: T0, lastAtMs: T0 },
        },
        10,
      );
      const release = { sealingKids: ['kid-1'], bodyTypes: [], nowMs: T0 + 1e9, limit: 5 };
      expect(await store.findReleasableQuarantine(release)).toHaveLength(1);
      await store.resolveQuarantined(clientId, id('message', 51), sealed);
      await store.addDeadLetter(dead, 10);
      await store.countDeadLetterResend(dead.clientId, dead.messageId);
      await store.probeWrite('worker');
      await store.pruneOutcomes(T0 - 1);
      await store.readSite();
      await store.readSiteDocument();
      await store.readSealingKeys();
      await store.readFingerprintKey();
      await store.readPolicies();
      await store.insertDataKey({ ...DATA_KEY, dataKeyId: id('misc', 77) });
    });
    await refused(
      worker,
      'SELECT Content FROM dbo.MPE_KeySecrets;',
      'SELECT * FROM dbo.MPE_TpmOwnerAuthSecrets;',
      'SELECT Wrapped FROM dbo.MPE_DataKeyWraps;',
      'SELECT Wrapped FROM dbo.MPE_SealingKeyArchive;',
      'SELECT RecoveryKey FROM dbo.RecoveryAndHardwareCore_Keys;',
      "UPDATE dbo.MPE_Keys SET KeyIdPrefix = 'x';",
      'DELETE FROM dbo.MPE_KeyProofs;',
      'UPDATE dbo.MPE_EnrolmentTokens SET UsesAllowed = 9;',
      'DELETE FROM dbo.MPE_SealingKeys;',
      'SELECT * FROM dbo.MPE_Audit;',
      "INSERT INTO dbo.MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause) VALUES (NEWID(), NEWID(), NEWID(), SYSUTCDATETIME(), 'x');",
      'CREATE TABLE dbo.MPE_Mine (a int);',
      'DROP TRIGGER dbo.MPE_KeySecrets_AppendOnly;',
    );
  }, 300_000);

  it('mpe_gateway reads who and what became of a message, and writes nothing', async () => {
    const database = await filled();
    const gateway = await login(database, 'mpe_gateway');
    await as(gateway, 'gateway', async (store) => {
      expect((await store.readSite())?.name).toBe('Contoso');
      await store.readSiteDocument();
      expect((await store.findClient(id('client', 1)))?.epoch).toBe(1);
      expect((await store.findOutcome(id('client', 1), id('message', 1)))?.disposition).toBe('COMMITTED');
      expect(await store.findQuarantined(id('client', 1), id('message', 9))).toBeNull();
      expect(await store.findDeadLetter(id('client', 1), id('message', 9))).toBeNull();
    });
    await refused(
      gateway,
      'SELECT * FROM dbo.MPE_KeySecrets;',
      'SELECT SecretId FROM dbo.MPE_KeySecrets;',
      'SELECT * FROM dbo.MPE_SealingKeys;',
      'SELECT * FROM dbo.MPE_EnrolmentTokens;',
      'DELETE FROM dbo.MPE_Outcomes;',
      "INSERT INTO dbo.MPE_Probe (ProbedBy, Count, ProbedAt) VALUES ('x', 1, SYSUTCDATETIME());",
    );
  }, 300_000);

  it('mpe_recovery reads secrets, adds wraps, marks damage and asks for rotation', async () => {
    const database = await filled();
    const recovery = await login(database, 'mpe_recovery');
    await as(recovery, 'recovery', async (store) => {
      const [secret] = await store.secretsPage(null, 10);
      expect(secret?.content.bytes.length).toBeGreaterThan(0);
      expect(await store.readDataKeys()).not.toEqual([]);
      await store.readArchivedSealingKeys();
      await store.secretsStoredAfter(null, 10);
      await store.counts();
      expect(await store.findKeys('8637036e', 10)).toHaveLength(1);
      await store.probeWrite('recovery');
      await store.insertDataKey({ ...DATA_KEY, dataKeyId: id('misc', 78) });
      await store.insertDataKey({ ...DATA_KEY, certificateThumbprint: 'cert-2' });
      await store.archiveSealingKey(archived);
      if (secret !== undefined) await store.markDamaged(secret.identity.secretId, secret.generation, 'x', T0);
      await store.openRotationRequest(
        { requestId: id('misc', 80), volumeId: id('volume', 1), keyId: id('key', 1), deadlineMs: T0 },
        T0,
      );
    });
    await refused(
      recovery,
      'INSERT INTO dbo.MPE_KeySecrets (SecretId, Generation, Form, Content, StoredAt) VALUES (0x00, 1, 1, 0x00, SYSUTCDATETIME());',
      'DELETE FROM dbo.MPE_Audit;',
      'DELETE FROM dbo.MPE_DataKeyWraps;',
      // It approves registrations that wait, for the portal; a client it never removes.
      'DELETE FROM dbo.MPE_Clients;',
      "UPDATE dbo.MPE_SealingKeys SET State = 'RETIRED';",
      "INSERT INTO dbo.MPE_SiteDocuments (Version, Jws, StoredAt) VALUES (9, 'x', SYSUTCDATETIME());",
    );
  }, 300_000);

  it('mpe_operator makes and runs a site, and reads no secret', async () => {
    const database = await makeSqlServerDatabase();
    await applyServerRoles(database.target);
    const people = await login(database, 'mpe_operator');
    await as(people, 'operator', (store) => store.createSite(siteSeed()));
    const engine = await database.open();
    await engine.insertDataKey(DATA_KEY);
    await register(engine, 1, 2);
    await committed(engine, message(1, 'one'));
    await engine.addDeadLetter(dead, 10);
    for (const n of [7, 8]) await engine.commitRegistration(waiting(n));
    await as(people, 'operator', async (store) => {
      await store.readSite();
      await store.appendSiteDocument((await store.readSiteDocument()).version + 1, 'd.e.f');
      const [key] = await store.readSealingKeys();
      if (key !== undefined) await store.addSealingKey({ ...key, kid: 'kid-2' });
      await store.archiveSealingKey(archived);
      expect(await store.removeSealingKey('kid-1')).toBe(true);
      expect(await store.readArchivedSealingKeys()).toHaveLength(1);
      await store.readPolicies();
      const [token] = await store.readEnrolmentTokens();
      if (token === undefined) throw new Error('the site has no token');
      await store.insertEnrolmentToken({
        ...{ ...token, tokenId: id('misc', 90), secretHash: Buffer.alloc(32, 9) },
      });
      expect(await store.revokeEnrolmentToken(id('misc', 90), T0)).toBe(true);
      await store.setClientState(id('client', 1), 'BLOCKED', 'ann');
      await store.setClientState(id('client', 1), 'ACTIVE', 'ann');
      expect(await store.readPendingRegistrations(10)).toHaveLength(2);
      const approval = { by: 'ann', tag: 'north', atMs: T0 };
      expect(await store.approveRegistration(id('client', 7), 'kid-of-7', approval)).toMatchObject({
        status: 'REGISTERED',
      });
      expect(await store.rejectRegistration(id('client', 8), 'kid-of-8')).toBe(true);
      await store.mergeClient(id('client', 2), id('client', 1), 'ann');
      expect(await store.readMachineEvents(id('client', 1))).toHaveLength(3);
      expect(await store.listClients({ flagged: false, limit: 10 })).toHaveLength(3);
      await store.findLookAlikes(id('client', 1), { hardwareId: 'x', machineName: 'PC2', domain: 'CONTOSO' });
      expect((await store.findClient(id('client', 7)))?.tag).toBe('north');
      await store.findKeyOwners('kid-of-1');
      await store.traceMessage(id('message', 1));
      expect(await store.redriveDeadLetter(dead.clientId, dead.messageId, T0)).toBe(true);
      expect(await store.findKeys('8637036e', 10)).toHaveLength(1);
      expect((await store.counts()).secrets).toBe(2);
      await store.durability();
      for await (const line of store.hashLines()) expect(line).toBeDefined();
      // What an operator changes has its row.
      const audit = { store, clock: { now: () => T0 }, log: createLogger('test', { logLevel: 'silent' }) };
      await recordAccount(audit, { name: 'ann', source: 'Command line' }, 'DISABLED', 'CORP\\ben');
    });
    await refused(
      people,
      'DELETE FROM dbo.MPE_Audit;',
      "UPDATE dbo.MPE_Audit SET Reason = N'x';",
      'SELECT Content FROM dbo.MPE_KeySecrets;',
      'SELECT * FROM dbo.MPE_TpmOwnerAuthSecrets;',
      'SELECT * FROM dbo.MPE_DataKeyWraps;',
      'SELECT RecoveryKey FROM dbo.RecoveryAndHardwareCore_Keys;',
      'DELETE FROM dbo.MPE_Clients;',
      'DELETE FROM dbo.MPE_MachineEvents;',
      'UPDATE dbo.MPE_EnrolmentTokens SET UsesLeft = 9;',
      "UPDATE dbo.MPE_Site SET Name = 'x';",
      'INSERT INTO dbo.MPE_Outcomes (ClientId, MessageId) VALUES (NEWID(), NEWID());',
      'ALTER TABLE dbo.MPE_Clients ADD Mine int;',
    );
    // For the commands that open secrets it is in both for a while.
    const both = await login(database, 'mpe_operator', 'mpe_recovery');
    await as(both, 'recovery', async (store) => {
      expect(await store.secretsPage(null, 10)).toHaveLength(2);
      await store.appendSiteDocument(9, 'g.h.i');
    });
  }, 300_000);

  it('of another kind is refused at the start, with each missing grant and its statement', async () => {
    const database = await filled();
    // A gateway's login sees the schema, so what it lacks as a worker is told right by right.
    const gateway = await login(database, 'mpe_gateway');
    const error = await as(gateway, 'worker', () => Promise.resolve()).catch(
      (caught: unknown) => caught as Error,
    );
    expect(error).toMatchObject({ code: 'STORE_FAILED', facts: { role: 'mpe_worker' } });
    const { message: text } = error as Error;
    expect(text).toContain(
      `ALTER ROLE mpe_worker ADD MEMBER [${gateway.login.kind === 'sql' ? gateway.login.user : ''}]`,
    );
    expect(text).toContain('mpe migrate --roles');
    expect(text).toContain('GRANT INSERT ON dbo.MPE_Outcomes TO mpe_worker;');
    expect(text).toContain('GRANT UPDATE ON dbo.MPE_EnrolmentTokens (UsesLeft) TO mpe_worker;');
    expect(text).not.toContain('GRANT SELECT ON dbo.MPE_Outcomes TO');
    await expect(as(await login(database), 'gateway', () => Promise.resolve())).rejects.toMatchObject({
      code: expect.stringMatching(/SCHEMA_MISMATCH|STORE_FAILED/) as string,
    });
  }, 300_000);

  it('that may not do what is asked of it says which right is missing, and keeps values to itself', async () => {
    const database = await filled();
    const gateway = await login(database, 'mpe_gateway');
    const store = await openStore({ kind: 'mssql', target: gateway });
    const error = await store
      .setClientState(id('client', 1), 'BLOCKED', 'ann')
      .catch((caught: unknown) => caught);
    await store.close();
    expect(error).toMatchObject({ code: 'STORE_TRANSIENT' });
    expect((error as Error).message).toMatch(/permission.*mpe_clients.*give it the role of its process/is);
    // A later release's migration by a login that may not change the schema.
    const folder = tempFolder('mpe-migrations-');
    cpSync(join(ROOT, 'src', 'store', 'mssql', 'migrations'), folder, { recursive: true });
    const next = String(loadMigrations().length + 1).padStart(6, '0');
    writeFileSync(join(folder, `${next}.sql`), 'CREATE TABLE dbo.MPE_New (Id int);\n');
    const migrating = await migrateServer(gateway, T0, folder).catch((caught: unknown) => caught);
    expect(migrating).toMatchObject({ code: 'STORE_FAILED' });
    expect((migrating as Error).message).toMatch(
      /the login lacks a right: .*An administrator gives it with: ALTER ROLE db_ddladmin ADD MEMBER \[/s,
    );
    await expect(applyServerRoles(gateway)).rejects.toThrow(/the login lacks a right/);
    expect(await database.sql("SELECT OBJECT_ID('dbo.MPE_New') AS Id")).toEqual([{ Id: null }]);
  }, 300_000);
});

/** A registration that an operator decides. */
const waiting = (n: number): RegistrationWrite => ({
  ...{ clientId: id('client', n), registrationId: id('misc', 3000 + n), kid: `kid-of-${n}`, publicJwk: '{}' },
  ...{ enrolmentTokenHash: null, provenByKid: null, machineName: `PC${n}`, domain: 'CONTOSO' },
  ...{ hardwareId: '', joinType: 'DOMAIN', atMs: T0 },
  admission: { channels: [], channelRenews: false, approval: true, pendingMax: 10 },
});

const archived: ArchivedSealingKeyRow = {
  ...{ kid: 'kid-1', certificateThumbprint: 'cert-1', alg: 'RSA-OAEP-256', publicJwk: '{}', wrapped: 'jwe' },
  ...{ createdAtMs: T0, archivedAtMs: T0 },
};
