import { columnsFor, type CopyTable } from '../../../src/store/copy/tables.js';
import { Connection } from '../../../src/store/sqlite/connection.js';
import { createSite } from '../../../src/store/sqlite/create-site.js';
import { FINGERPRINTS, id, sha256, siteSeed, T0, TOKEN_HASH } from '../world.js';
import type { SiteStore } from '../../../src/store/site-store.js';

/** Text that a careless copy changes: quotes, blanks at the end, letters beyond the BMP, a line end. */
export const AWKWARD = 'Ω \'quoted\' "twice" [x] \\ 😀 é\u0301 %_\n end  ';

/**
 * A site with rows in every table: awkward text, the largest numbers, NULLs beside values, plain
 * text from before the site had a certificate.
 */
export function fillEveryTable(c: Connection): void {
  createSite(c, siteSeed());
  const [client, other, volume, key] = [id('client', 1), id('client', 2), id('volume', 1), id('key', 1)];
  const misc = (n: number): string => id('misc', 500 + n);
  const hash = (text: string): Buffer => sha256(text);
  const run = (table: string, ...rows: Record<string, string | number | bigint | Buffer | null>[]): void => {
    for (const row of rows) {
      const names = Object.keys(row);
      c.run(
        `INSERT INTO MPE_${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
        ...Object.values(row),
      );
    }
  };
  const rank = { Epoch: 1, Sequence: 9_223_372_036_854_775_807n, Digest: hash('digest') };

  run('PolicyRings', {
    ...{ PolicyId: id('misc', 3), Position: 1, Tag: 'north', State: 'PAUSED', Opens: 'AFTER_PREVIOUS' },
    ...{ FailureLimit: 20, SoakMinutes: 60, RotationsPerHour: 100, OpenedAt: T0, PausedAt: T0 + 1 },
    PauseReason: AWKWARD,
  });
  run('PolicyEvents', {
    ...{
      PolicyId: id('misc', 3),
      Revision: 2,
      Event: 'CHANGED',
      Detail: AWKWARD,
      HappenedAt: T0,
      DoneBy: 'ö',
    },
  });
  run('Devices', {
    ...{ DeviceKey: 'corp\\pc-ß', MachineName: 'PC-ß', Domain: 'CORP', HardwareId: AWKWARD, Tag: '' },
    ImportedAt: T0,
  });
  run('SealingKeyArchive', {
    ...{ Kid: 'old', CertificateThumbprint: 'x', Alg: 'RSA-OAEP-256', PublicJwk: '{}', Wrapped: 'a.b' },
    ...{ CreatedAt: T0, ArchivedAt: T0 + 1 },
  });
  run(
    'Clients',
    { ...clientRow(client), MachineName: AWKWARD, Tag: '' },
    { ...clientRow(other), State: 'BLOCKED' },
  );
  run(
    'ClientKeys',
    {
      ClientId: client,
      Epoch: 1,
      Kid: 'aB',
      PublicJwk: '{"a": "ü"}',
      RegistrationId: misc(1),
      ProvenByKid: null,
      TokenId: id('misc', 4),
      RegisteredAt: T0,
    },
    {
      ClientId: other,
      Epoch: 1,
      Kid: 'Ab',
      PublicJwk: '{}',
      RegistrationId: misc(2),
      ProvenByKid: 'aB',
      TokenId: null,
      RegisteredAt: T0,
      ChannelKind: 'client-certificate',
      ChannelSubject: 'ab'.repeat(32),
      ApprovedBy: AWKWARD,
    },
  );
  run('PendingRegistrations', {
    ...{ ClientId: id('client', 3), Kid: 'bC', PublicJwk: '{}', RegistrationId: misc(9) },
    ...{ MachineName: AWKWARD, Domain: '', HardwareId: '', JoinType: 'ENTRA' },
    ...{ ChannelKind: 'entra', ChannelSubject: 'tenant/device', FirstAskedAt: T0, LastAskedAt: T0 + 1 },
  });
  run('ClientFlags', { ClientId: other, Flag: 'CLONE', Epoch: 0, FlaggedAt: T0, Detail: AWKWARD });
  const event = { ClientId: client, IntoClientId: null, HappenedAt: T0, DoneBy: AWKWARD };
  // Two equal events are two events.
  run(
    'MachineEvents',
    { ...event, Event: 'DELETED' },
    { ...event, Event: 'BLOCKED' },
    { ...event, Event: 'BLOCKED' },
  );
  run('MachineEvents', { ...event, Event: 'MERGED', IntoClientId: other });

  run('Volumes', { VolumeId: volume, FirstSeenAt: T0 });
  const keyRow = {
    KeyId: key,
    KeyIdPrefix: key.slice(0, 8),
    VolumeId: volume,
    FingerprintKeyId: FINGERPRINTS.id,
  };
  for (const [n, name] of ['plain', 'sealed', 'package'].entries()) {
    run('Keys', {
      ...keyRow,
      SecretId: hash(name),
      Kind: n === 2 ? 2 : 1,
      Fingerprint: hash(`of ${name}`),
      FirstStoredAt: T0,
    });
  }
  run('TpmOwnerAuths', {
    SecretId: hash('tpm'),
    ClientId: client,
    FingerprintKeyId: FINGERPRINTS.id,
    Fingerprint: hash('t'),
    FirstStoredAt: T0,
  });
  const plain = {
    Generation: 1,
    Form: 1,
    DataKeyId: null,
    Content: Buffer.from('plain, of old'),
    StoredAt: T0,
  };
  run('KeySecrets', { ...plain, SecretId: hash('plain') });
  run('TpmOwnerAuthSecrets', { ...plain, SecretId: hash('tpm') });
  run('DataKeys', { DataKeyId: misc(3), CreatedAt: T0, CreatedBy: 'worker-1' });
  run('DataKeyWraps', { DataKeyId: misc(3), CertificateThumbprint: 'x', Wrapped: 'a.b', WrappedAt: T0 });
  run('DataKeyWraps', { DataKeyId: misc(3), CertificateThumbprint: 'X', Wrapped: 'c.d', WrappedAt: T0 });
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const sealed = { Form: 2, DataKeyId: misc(3), StoredAt: T0 + 1 };
  run('KeySecrets', { ...sealed, SecretId: hash('plain'), Generation: 2, Content: every });
  run('KeySecrets', {
    ...sealed,
    SecretId: hash('sealed'),
    Generation: 1,
    Content: Buffer.alloc(20_000, 0xab),
  });
  run('KeySecrets', { ...sealed, SecretId: hash('package'), Generation: 1, Content: Buffer.from([0]) });
  run('TpmOwnerAuthSecrets', { ...sealed, SecretId: hash('tpm'), Generation: 2, Content: every });
  const proof = {
    ClientId: client,
    MessageId: id('message', 1),
    Epoch: 1,
    Sequence: rank.Sequence,
    ProvenAt: T0,
  };
  run('KeyProofs', ...['plain', 'sealed', 'package'].map((name) => ({ ...proof, SecretId: hash(name) })));
  run('TpmOwnerAuthProofs', { ...proof, SecretId: hash('tpm') });
  run('SecretDamage', { SecretId: hash('plain'), Generation: 1, FoundAt: T0, Reason: AWKWARD });

  const said = { ClientId: client, ...rank, MessageId: id('message', 1), ReportedAt: T0 };
  run('Reports', {
    ...said,
    VolumeId: volume,
    VolumeType: 1,
    DriveLabel: AWKWARD,
    Protection: 2,
    KeyIds: `["${key}"]`,
  });
  const state = { MachineName: AWKWARD, Domain: '', OtherManagers: '["ENTRA"]' };
  run('ClientStates', {
    ...said,
    ...state,
    LastErrorCode: -2_144_272_384n,
    LastErrorText: AWKWARD,
    LastErrorAt: T0,
  });
  run('ClientStates', {
    ...said,
    ...state,
    ClientId: other,
    LastErrorCode: null,
    LastErrorText: null,
    LastErrorAt: null,
  });
  // Equal but for case and a blank at the end: some collations take them for one.
  for (const Name of ['Zoë', 'anna', 'Anna', 'anna '])
    run('ClientUsers', { ClientId: client, Domain: 'CORP', Name, ReportedAt: T0 });
  run('ClientUsers', { ClientId: other, Domain: '', Name: AWKWARD, ReportedAt: T0 });

  const message = { ClientId: client, MessageId: id('message', 1) };
  run('Outcomes', {
    ...{
      ...message,
      ...rank,
      BodyType: 'ESCROW_RECOVERY_KEYS',
      Disposition: 3,
      Reason: 'NONE',
      SealedReply: '',
    },
    ...{
      Attempts: 2,
      Stages: '[{"stage":"commit","note":"é"}]',
      ReceivedAt: T0,
      DecidedAt: T0 + 7,
      DecidedBy: 'w',
    },
  });
  const kept = { ...message, BodyType: 1, Sealed: 'a.b.c.d.e' };
  run('Quarantine', { ...kept, Reason: 'CLIENT_UNKNOWN', Kid: '', Attempts: 1, FirstAt: T0, LastAt: T0 });
  const dead = { Cause: 'STORE_FAILED', Detail: AWKWARD, ReleaseName: '0.1.0', Resends: 3, DeadAt: T0 };
  run(
    'DeadLetters',
    { ...kept, ...dead, RedrivenAt: null },
    { ...kept, ...dead, ClientId: other, Sealed: '', RedrivenAt: T0 },
  );

  const request = { VolumeId: volume, KeyId: key, Deadline: T0, OpenedAt: T0 };
  const asked = { Origin: 'INCIDENT', RequestedBy: AWKWARD, NotBefore: T0 + 3, Round: 4 };
  const open = { ClosedAs: null, ClosedAt: null, ClosedBy: '', CloseReason: '' };
  const closed = { ClosedAs: 'ABANDONED', ClosedAt: T0, ClosedBy: AWKWARD, CloseReason: AWKWARD };
  run('RotationRequests', { ...request, ...asked, RequestId: misc(4), ...open });
  run('RotationRequests', { ...request, ...asked, RequestId: misc(5), ...closed });
  run('RotationDeliveries', { RequestId: misc(4), ClientId: client, Round: 4, FirstDeliveredAt: T0 + 1 });
  run('RotationReports', {
    ...{
      RequestId: misc(4),
      ...message,
      Epoch: 1,
      Sequence: 5,
      Outcome: 'FAILED',
      ErrorCode: 2_147_942_405n,
    },
    ...{ ErrorText: AWKWARD, NewKeyId: null, ReportedAt: T0 },
  });
  run('Exposures', {
    ExposureId: misc(6),
    KeyId: key,
    VolumeId: volume,
    ExposedAt: T0,
    Cause: 'HELPDESK',
    AuditSequence: 2,
  });
  run('ExposureRanks', { ExposureId: misc(6), ClientId: client, ...rank });
  let previous: Buffer = Buffer.alloc(32);
  for (let sequence = 1; sequence <= 3; sequence += 1) {
    const own = hash(`audit ${sequence}`);
    run('Audit', {
      ...{
        Sequence: sequence,
        HappenedAt: T0,
        Source: 'portal',
        Result: 'Successful',
        HelpdeskUser: AWKWARD,
      },
      ...{
        EndUser: '',
        Machine: 'PC1',
        KeyType: 'RECOVERY_PASSWORD',
        KeyId: key,
        Reason: AWKWARD,
        Ticket: '',
      },
      ...{ Detail: '', PreviousHash: previous, Hash: own },
      // A row of before there were request ids has none.
      ...{ RequestId: sequence === 1 ? null : misc(20 + sequence), Actor: sequence === 1 ? '' : AWKWARD },
    });
    c.run('UPDATE MPE_AuditHead SET Sequence = ?, Hash = ?', sequence, own);
    previous = own;
  }
  run('AuditSinks', { SinkId: 'https x', Sequence: 9_223_372_036_854_775_807n, SavedAt: T0 });
  const incident = {
    Title: AWKWARD,
    LastsMinutes: 60,
    RotationsPerHour: 5,
    ProposedBy: AWKWARD,
    ProposedAt: T0,
  };
  run('Incidents', { ...incident, IncidentId: misc(30) });
  run('Incidents', {
    ...{ ...incident, IncidentId: misc(31), ConfirmedBy: 'b', ConfirmedAt: T0 + 1, EndsAt: T0 + 2 },
    ...{ EndedBy: AWKWARD, EndedAt: T0 + 2 },
  });
  run('IncidentMachines', { IncidentId: misc(31), ClientId: client });
  run('ManagementPoints', {
    ManagementPointId: 'mp1',
    Channel: 'HTTPS',
    Address: AWKWARD,
    FirstSeenAt: T0,
    LastSeenAt: T0,
  });
  run('Accounts', {
    ...{ AccountKey: AWKWARD.toLowerCase(), Name: AWKWARD, Roles: '["auditor"]', PasswordHash: 'scrypt$x' },
    ...{ Disabled: 1, Revision: 3, CreatedAt: T0, ChangedAt: T0 + 1, LastSignInAt: null },
  });
  run('BreakGlass', {
    ...{ Id: 1, PasswordHash: 'scrypt$y', SealedTotp: 'sealed', LastStep: 9_223_372_036_854_775_807n },
    ...{ LastUse: 'use', ArmedUntil: T0 + 1, ArmedBy: AWKWARD, SetAt: T0 },
  });
  run('MachineNumbers', { ClientId: client, Number: 16_777_216 });
}

const clientRow = (ClientId: string) => ({
  ...{ ClientId, State: 'ACTIVE', Epoch: 1, MachineName: 'PC', Domain: 'CORP', HardwareId: '' },
  ...{ JoinType: 'DOMAIN', Tag: 'first', RegisteredAt: T0 },
});

/** Many rows, quickly: clients, volumes, keys, secrets and proofs, a number of each. */
export function fillMany(c: Connection, count: number): void {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) `;
  const guid = (kind: string): string => `printf('${kind}%04x-0000-4000-9000-%012x', i % 65536, i)`;
  c.immediate(() => {
    for (const statement of [
      `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag, RegisteredAt)
       ${numbers} SELECT ${guid('c11e')}, 'ACTIVE', 1, 'PC' || i, '', '', 'DOMAIN', '', ${T0} + i FROM n`,
      `INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt) ${numbers} SELECT ${guid('7010')}, ${T0} FROM n`,
      `INSERT INTO MPE_Keys (SecretId, Kind, KeyId, KeyIdPrefix, VolumeId, FingerprintKeyId, Fingerprint, FirstStoredAt)
       ${numbers} SELECT unhex(printf('%064x', i)), 1, ${guid('8637')}, substr(${guid('8637')}, 1, 8), ${guid('7010')},
         '${FINGERPRINTS.id}', unhex(printf('%064x', i)), ${T0} FROM n`,
      `INSERT INTO MPE_KeySecrets (SecretId, Generation, Form, DataKeyId, Content, StoredAt)
       ${numbers} SELECT unhex(printf('%064x', i)), 1, 2, (SELECT min(DataKeyId) FROM MPE_DataKeys), randomblob(84), ${T0} FROM n`,
      `INSERT INTO MPE_KeyProofs (ClientId, SecretId, MessageId, Epoch, Sequence, ProvenAt)
       ${numbers} SELECT ${guid('c11e')}, unhex(printf('%064x', i)), ${guid('3e55')}, 1, i, ${T0} FROM n`,
    ])
      c.run(statement);
  });
}

/** Adds a client, as a gateway that still runs would. */
export async function addClient(store: SiteStore, n: number): Promise<void> {
  const result = await store.commitRegistration({
    ...{ clientId: id('client', n), registrationId: id('misc', 1000 + n), kid: `late-${n}`, publicJwk: '{}' },
    ...{ enrolmentTokenHash: TOKEN_HASH, provenByKid: null, machineName: 'LATE', domain: '', hardwareId: '' },
    ...{ joinType: 'DOMAIN', atMs: T0 },
  });
  if (result.status !== 'REGISTERED') throw new Error(result.reason);
}

/** Every value of a table as SQLite has it, in a fixed order. */
export function allRows(path: string, table: CopyTable): unknown[] {
  const connection = Connection.open(path, { readOnly: true });
  const names = columnsFor(table, 'sqlite').map(({ name }) => name);
  const order = table.surrogate.sqlite ?? names.map((_, i) => i + 1).join(', ');
  const rows = connection.all(`SELECT ${names.join(', ')} FROM ${table.name} ORDER BY ${order}`);
  connection.close();
  return rows;
}

/** Tables and their columns in one order, to compare. */
export function sorted(schema: Iterable<readonly [string, readonly string[]]>): readonly string[] {
  return [...schema].map(([name, columns]) => `${name}: ${[...columns].sort().join(' ')}`).sort();
}
