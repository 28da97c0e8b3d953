import { expect, it } from 'vitest';
import { join } from 'node:path';
import { apply } from '../../src/store/sqlite/apply.js';
import { classify } from '../../src/store/sqlite/classify.js';
import { commitRegistration } from '../../src/store/sqlite/commit-registration.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { createSite } from '../../src/store/sqlite/create-site.js';
import { addDeadLetter } from '../../src/store/sqlite/dead-letters.js';
import { findClient } from '../../src/store/sqlite/find-client.js';
import { currentKeys, findMachines } from '../../src/store/sqlite/disclosure/machines.js';
import { auditAfter, findAudit } from '../../src/store/sqlite/disclosure/read-audit.js';
import { inIncident, readIncident } from '../../src/store/sqlite/disclosure/incidents.js';
import { readKey, readOwnerAuths } from '../../src/store/sqlite/disclosure/read-secrets.js';
import { findKeys } from '../../src/store/sqlite/find-keys.js';
import { loadMigrations, migrate } from '../../src/store/sqlite/migrate.js';
import { pruneOutcomes } from '../../src/store/sqlite/outcomes.js';
import { findAccount } from '../../src/store/sqlite/people/accounts.js';
import { readFailures } from '../../src/store/sqlite/people/failures.js';
import { findSession } from '../../src/store/sqlite/people/sessions.js';
import { begunSince } from '../../src/store/sqlite/policy/begun-since.js';
import { setClientTag } from '../../src/store/sqlite/policy/client-tag.js';
import { coverage } from '../../src/store/sqlite/policy/coverage.js';
import { managementPoints } from '../../src/store/sqlite/policy/management-points.js';
import { migrationCandidates } from '../../src/store/sqlite/policy/migration-candidates.js';
import { readPolicyEvents } from '../../src/store/sqlite/policy/policy-events.js';
import { readPolicies } from '../../src/store/sqlite/policy/read-policies.js';
import { ringCounts } from '../../src/store/sqlite/policy/ring-counts.js';
import { close } from '../../src/store/sqlite/rotation/close.js';
import { open } from '../../src/store/sqlite/rotation/open.js';
import { find, page } from '../../src/store/sqlite/rotation/page.js';
import { presentKeys } from '../../src/store/sqlite/rotation/present-keys.js';
import { returned } from '../../src/store/sqlite/rotation/returned.js';
import {
  machineByNumber,
  machinesNamed,
  machinesOf,
  numberMachines,
} from '../../src/store/sqlite/search/machines.js';
import { searchKeys } from '../../src/store/sqlite/search/search-keys.js';
import { traceMessage } from '../../src/store/sqlite/trace-message.js';
import { tempFolder } from '../support/temp.js';
import { candidate, DATA_KEY, id, siteSeed, T0, testPlanner, TOKEN_HASH, type MessageSpec } from './world.js';
import { insertDataKey } from '../../src/store/sqlite/data-keys.js';

/**
 * Whole scans that are right: JSON arrays of the message, the client's own rows once found, one row
 * of data keys, the one site. What a subquery has found is looked through, not a table.
 */
const ALLOWED =
  /^SCAN (json_each|j (EXISTS )?VIRTUAL|\(subquery-\d+\)$|(h|hm|w)$|r USING INDEX MPE_RotationRequests_Due$|MPE_DataKeys|CONSTANT ROW|MPE_Site$|MPE_SiteDocuments)/;

/** Remembers every statement that goes through the connection from here on. */
function remember(connection: Connection): Set<string> {
  const statements = new Set<string>();
  for (const name of ['get', 'all', 'run'] as const) {
    const original = connection[name].bind(connection) as (sql: string, ...values: never[]) => never;
    connection[name] = (sql: string, ...values: never[]) => {
      statements.add(sql);
      return original(sql, ...values);
    };
  }
  return statements;
}

const plan = (connection: Connection, sql: string): string =>
  connection.db
    .prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql.replaceAll(/\?\d*/g, 'NULL')}`)
    .all()
    .map((row) => row.detail)
    .join('\n');

/** No step walks a table but those of `ALLOWED`, and of `besides` where a statement is told to. */
function expectSeeks(connection: Connection, sql: string, besides = /$^/): void {
  const steps = plan(connection, sql).split('\n');
  const scans = steps.filter((step) => step.startsWith('SCAN') && !ALLOWED.test(step) && !besides.test(step));
  expect(scans, sql).toEqual([]);
  // An index that chooses by the kind alone is a scan by another name.
  expect(
    steps.filter((step) => /\((Kind|Epoch|Disposition)=\?\)/.test(step)),
    sql,
  ).toEqual([]);
}

it('the statements of a commit and of the look-ups never walk a whole table', async () => {
  const connection = Connection.open(join(tempFolder('mpe-plans-'), 'site.db'), { readOnly: false });
  migrate(connection, loadMigrations(), T0);
  createSite(connection, siteSeed());
  insertDataKey(connection, DATA_KEY);

  const statements = remember(connection);

  commitRegistration(connection, {
    clientId: id('client', 1),
    registrationId: id('misc', 9),
    kid: 'kid',
    publicJwk: '{}',
    enrolmentTokenHash: TOKEN_HASH,
    provenByKid: null,
    machineName: 'PC1',
    domain: '',
    hardwareId: '',
    joinType: 'DOMAIN',
    atMs: T0,
  });
  const protectors = [{ key: 1, password: 'a', package: 'b' }];
  const specs: MessageSpec[] = [
    { client: 1, message: 1, sequence: 1, volumes: [{ volume: 1, protectors }] },
    { client: 1, message: 2, sequence: 2, tpm: 'owner' },
    { client: 1, message: 3, sequence: 3, state: { users: [{ domain: 'D', name: 'u' }] } },
    {
      client: 1,
      message: 4,
      sequence: 4,
      rotation: {
        requestId: id('misc', 8),
        outcome: 'FAILED',
        errorCode: null,
        errorText: null,
        newKeyId: null,
      },
    },
  ];
  const planner = testPlanner({ dataKeyId: DATA_KEY.dataKeyId });
  const messages = specs.map(candidate);
  const facts = classify(connection, messages);
  const decisions = await Promise.all(messages.map((message, i) => planner(message, facts[i]!)));
  apply(
    connection,
    decisions.flatMap((decision) => (decision.kind === 'write' ? [decision.plan] : [])),
  );
  findClient(connection, id('client', 1));
  findKeys(connection, '8637036e', 10);
  const users = [{ domain: 'CORP', account: 'anna' }];
  for (const search of [
    { by: 'digits', digits: '8637036e' },
    { by: 'machine', machine: 'PC1', domain: null },
    { by: 'client', clientId: id('client', 1) },
    { by: 'users', users },
  ] as const) {
    searchKeys(connection, search, { limit: 10 });
    searchKeys(connection, search, { limit: 10, users });
  }
  machinesOf(connection, users, 10);
  machinesNamed(connection, 'PC1', 10);
  numberMachines(connection, [id('client', 1)]);
  machineByNumber(connection, 16_777_216);
  traceMessage(connection, id('message', 1));
  pruneOutcomes(connection, T0, 10);
  const key = { volumeId: id('volume', 1), keyId: id('key', 1) };
  open(connection, [
    {
      ...{
        ...key,
        requestId: id('misc', 20),
        exposureId: id('misc', 20),
        origin: 'OPERATOR',
        requestedBy: '',
      },
      ...{ deadlineMs: T0, notBeforeMs: T0, atMs: T0, evenAbsent: false },
    },
  ]);
  const after = { atMs: T0 - 1, requestId: id('misc', 1) };
  expect(page(connection, { open: true }, after, 10)).toHaveLength(1);
  for (const one of [{ volumeId: key.volumeId }, { keyId: key.keyId }, { dueBeforeMs: T0 }])
    page(connection, { open: true, ...one }, null, 10);
  page(connection, { open: false }, after, 10);
  // All open requests, by an index of open ones alone: closed ones are never walked.
  page(connection, { open: true }, null, 10);
  find(connection, id('misc', 20));
  presentKeys(connection, { volumeId: key.volumeId });
  presentKeys(connection, { clientId: id('client', 1) });
  returned(connection, null, 10);
  close(connection, [{ requestId: id('misc', 20), round: 1, as: 'ABANDONED', by: '', reason: '', atMs: T0 }]);

  expect(statements.size).toBeGreaterThan(25);
  for (const sql of statements) expectSeeks(connection, sql);
  // Dead letters count their sealed rows by the partial index; that is a scan of it on purpose.
  addDeadLetter(
    connection,
    {
      clientId: id('client', 1),
      messageId: id('message', 9),
      bodyType: 1,
      cause: 'x',
      detail: '',
      sealed: 's',
      release: '1',
      resends: 0,
      deadAtMs: T0,
      redrivenAtMs: null,
    },
    10,
  );
  connection.close();
});

/** Tables of what people set up, tens of rows; arrays. */
const FEW =
  /^SCAN ((b|p|r|g|MPE_(Policies|PolicyRings|ManagementPoints|Incidents))( USING .*)?|w VIRTUAL TABLE INDEX 1:)$/;

it('the statements of reports, lists, policies and disclosure never walk a table of machines, keys or requests', async () => {
  const connection = Connection.open(join(tempFolder('mpe-plans-'), 'site.db'), { readOnly: false });
  migrate(connection, loadMigrations(), T0);
  const policyId = id('misc', 30);
  createSite(connection, siteSeed());
  connection.db.exec(`
    INSERT INTO MPE_Policies (PolicyId, Name, Mode, StorePackages, RemovableDrives, TpmOwnerAuth, CheckIntervalMinutes, CreatedAt)
    VALUES ('${policyId}', 'All', 'MANAGE', 0, 0, 0, 90, 0);
    INSERT INTO MPE_PolicyRings (PolicyId, Position, Tag, State, Opens, FailureLimit, SoakMinutes, RotationsPerHour, PauseReason)
    VALUES ('${policyId}', 1, 'one', 'CLOSED', 'BY_HAND', 100, 0, 100, '');
    INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag, RegisteredAt)
    VALUES ('${id('client', 1)}', 'ACTIVE', 1, 'PC1', '', '', 'DOMAIN', 'one', 0);`);
  const statements = remember(connection);

  await coverage(connection, T0);
  expect(await ringCounts(connection)).toMatchObject([{ machines: 1 }]);
  migrationCandidates(connection, 'one', { besideOthers: false, limit: 10 });
  begunSince(connection, 'policy', T0);
  setClientTag(connection, id('client', 1), 'two');
  readPolicyEvents(connection, policyId, 10);
  readPolicies(connection);
  managementPoints(connection);

  const after = { atMs: T0, requestId: id('misc', 1) };
  for (const open of [true, false]) {
    // By machine, volume and key the few requests are sought first, whatever the order of the list.
    for (const of of [
      { clientId: id('client', 1) },
      { volumeId: id('volume', 1) },
      { keyId: id('key', 1) },
      { clientId: id('client', 1), volumeId: id('volume', 1) },
    ]) {
      page(connection, { open, ...of }, null, 10);
      page(connection, { open, ...of }, after, 10);
    }
  }

  findMachines(connection, 'PC1');
  findMachines(connection, 'CORP\\PC1');
  currentKeys(connection, [id('client', 1)]);
  readKey(connection, id('key', 1));
  readOwnerAuths(connection, id('client', 1));
  findAudit(connection, id('misc', 1));
  auditAfter(connection, 0n, 10);
  readIncident(connection, id('misc', 1));
  inIncident(connection, [id('client', 1)], T0);
  findSession(connection, TOKEN_HASH);
  findAccount(connection, 'anna');
  readFailures(connection, ['account:anna']);

  expect(statements.size).toBeGreaterThan(35);
  for (const sql of statements) {
    expectSeeks(connection, sql, FEW);
    // Only the lists of all requests walk them in their order.
    if (sql.includes('MPE_RotationRequests r'))
      expect(plan(connection, sql), sql).not.toMatch(/ r USING INDEX MPE_RotationRequests_(Due|Closed)/);
  }
  connection.close();
});
