import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { API_ROUTES } from '../../src/recovery/api/index.js';
import { createPolicy } from '../../src/recovery/policy/policies.js';
import { may, OPERATIONS, ROLES, type Operation, type Role } from '../../src/recovery/roles.js';
import type { Answer, Browser } from './browser.js';
import { tempFolder } from '../support/temp.js';
import { password } from '../workers/support.js';
import { ServiceLab } from './service-lab.js';

// What people may do, on a machine of theirs (first letter) and on one of somebody else (second).
// The order of columns: helpdesk administrator, helpdesk user, report user, self-service user,
// operator, auditor.
const TABLE: Record<string, string> = {
  'key.search': 'yy yy nn nn nn nn',
  'key.disclose': 'yy yy nn nn nn nn',
  'tpm.disclose': 'yy yy nn nn nn nn',
  'own.search': 'nn nn nn yn nn nn',
  'own.disclose': 'nn nn nn yn nn nn',
  'rotation.list': 'yy yy yy nn yy yy',
  'rotation.watch': 'yy nn yy yn yy yy',
  'rotation.request': 'yy nn nn nn yy nn',
  'rotation.abandon': 'nn nn nn nn yy nn',
  'policy.read': 'nn nn nn nn yy yy',
  'policy.change': 'nn nn nn nn yy nn',
  'client.list': 'nn nn nn nn yy yy',
  'client.decide': 'nn nn nn nn yy nn',
  'management-point.list': 'nn nn nn nn yy yy',
  'audit.report': 'yy nn yy nn nn yy',
  'coverage.report': 'yy nn yy nn yy yy',
  'incident.list': 'yy nn nn nn yy yy',
  'incident.open': 'yy nn nn nn yy nn',
  'incident.print': 'yy nn nn nn nn nn',
  'people.list': 'nn nn nn nn yy yy',
  'people.disable': 'nn nn nn nn yy nn',
};

/** A machine as calls name it. */
interface Machine {
  readonly name: string;
  readonly keyId: string;
  readonly requestId: string;
  readonly user: { readonly domain: string; readonly account: string };
}

/** How each operation is asked for over HTTP. What is right by its roles may still fail by its values. */
const CALLS: Record<string, (browser: Browser, machine: Machine) => Promise<Answer>> = {
  'key.search': (b, m) => b.post('/api/v1/keys/search', { keyId: m.keyId, endUser: m.user }),
  'key.disclose': (b, m) =>
    b.post('/api/v1/keys/disclose', { keyId: m.keyId, reason: 'Lost PIN', endUser: m.user }),
  'tpm.disclose': (b, m) =>
    b.post('/api/v1/tpm/disclose', { machine: m.name, reason: 'Clear TPM', endUser: m.user }),
  'own.search': (b) => b.get('/api/v1/own/machines'),
  'own.disclose': (b, m) => b.post('/api/v1/own/disclose', { keyId: m.keyId, reason: 'Lost PIN/passphrase' }),
  'rotation.list': (b) => b.get('/api/v1/rotations'),
  'rotation.watch': (b, m) => b.get(`/api/v1/rotations/${m.requestId}`),
  'rotation.request': (b) => b.post('/api/v1/rotations', { volumeId: newGuid() }),
  'rotation.abandon': (b) => b.post(`/api/v1/rotations/${newGuid()}/abandon`, { reason: 'test' }),
  'policy.read': (b) => b.get('/api/v1/policies'),
  'policy.change': (b) => b.post('/api/v1/policies', { name: 'of the test', mode: 'OBSERVE' }),
  'client.list': (b) => b.get('/api/v1/clients/pending'),
  'client.decide': (b) => b.post(`/api/v1/clients/${newGuid()}/keys/${'a'.repeat(43)}/reject`),
  'management-point.list': (b) => b.get('/api/v1/management-points'),
  'audit.report': (b) => b.get('/api/v1/reports/audit'),
  'coverage.report': (b) => b.get('/api/v1/reports/coverage'),
  'incident.list': (b) => b.get('/api/v1/incidents'),
  'incident.open': (b) => b.post(`/api/v1/incidents/${newGuid()}/confirm`),
  'people.list': (b) => b.get('/api/v1/people'),
  'people.disable': (b) => b.post('/api/v1/people/disable', { name: 'nobody', disabled: true }),
};

/** Operations that the API has no call for: judged by the table of roles alone. */
const WITHOUT_CALL = ['incident.print'];

/** Whether the answer is one to somebody who may. */
function isAllowed(operation: string, answer: Answer, machine: Machine): boolean {
  if (operation === 'own.search' && answer.status === 200) {
    return (answer.json().machines as { machineName: string }[]).some(
      (one) => one.machineName === machine.name,
    );
  }
  // TPM password hashes are not there in this site: who may ask is told so.
  if (answer.status === 403 || answer.status === 404) {
    return (
      operation === 'tpm.disclose' && ['NOT_FOUND', 'NOT_PROVIDED'].includes(String(answer.json().reason))
    );
  }
  expect(answer.status, answer.text).not.toBe(401);
  expect(answer.status, answer.text).toBeLessThan(500);
  return true;
}

describe('roles', () => {
  test('every operation has its line here and a call, and every role its column', () => {
    expect(Object.keys(TABLE)).toEqual([...OPERATIONS]);
    expect([...Object.keys(CALLS), ...WITHOUT_CALL].sort()).toEqual([...OPERATIONS].sort());
    const used = API_ROUTES.map((route) => route.access).filter((access) => access !== 'signed-in');
    expect(OPERATIONS).toEqual(expect.arrayContaining(used));
    for (const line of Object.values(TABLE)) expect(line.split(' ')).toHaveLength(ROLES.length);
  });

  test('over HTTP the outcome of role, operation and machine is the table’s', async () => {
    const lab = await ServiceLab.open();
    const names = ROLES.map((role) => `CORP\\${role}`);
    const own = await lab.desk.machine('PC-OWN', ...names);
    const other = await lab.desk.machine('PC-OTHER', 'CORP\\anna');
    const machines: Machine[] = [];
    for (const [client, name, n] of [
      [own, 'PC-OWN', 1],
      [other, 'PC-OTHER', 2],
    ] as const) {
      const { keyId } = await lab.desk.escrow(client, password(n));
      // Of another key: who is shown one by another operation may watch its rotation.
      const { keyId: watched } = await lab.desk.escrow(client, password(n + 10));
      const answer = await lab.desk.ask(watched);
      if (answer.outcome !== 'shown') throw new Error(answer.detail);
      const requestId = answer.keys[0]!.rotationRequestId!;
      machines.push({ name, keyId, requestId, user: { domain: 'CORP', account: 'anna' } });
    }
    const seen: Record<string, string[]> = {};
    for (const role of ROLES) {
      const browser = await lab.as(`CORP\\${role}`, role);
      for (const operation of OPERATIONS) {
        const cells = machines.map(async (machine, n) => {
          const at = n === 0 ? { ...machine, user: { domain: 'CORP', account: role } } : machine;
          const call = CALLS[operation];
          const allowed =
            call === undefined
              ? may({ roles: [role] }, operation, n === 0 ? 'own' : 'other')
              : isAllowed(operation, await call(browser, at), at);
          return allowed ? 'y' : 'n';
        });
        (seen[operation] ??= []).push((await Promise.all(cells)).join(''));
      }
    }
    expect(Object.fromEntries(Object.entries(seen).map(([name, cells]) => [name, cells.join(' ')]))).toEqual(
      TABLE,
    );
  }, 120_000);

  test('every call that reads or changes policies and rings is for the roles of its operation', async () => {
    const lab = await ServiceLab.open();
    const { desk } = lab;
    const rings = [{ tag: 'pilot' }];
    const routes = API_ROUTES.filter(({ access }) => access === 'policy.read' || access === 'policy.change');
    expect(routes.filter(({ access }) => access === 'policy.change').map(({ id }) => id)).toEqual([
      ...['createPolicy', 'setPolicy', 'deployPolicy', 'retirePolicy'],
      ...['openRing', 'pauseRing', 'resumeRing'],
    ]);
    const by = { by: 'test', atMs: lab.clock.now() };
    const { policyId } = await createPolicy(desk.store, { name: 'North', rings }, by);
    for (const role of ROLES) {
      const browser = await lab.as(`CORP\\${role}`, role);
      for (const { method, path, id, access } of routes) {
        const url = `/api/v1${path.replace('{policyId}', policyId).replace('{ringId}', `${policyId}.1`)}`;
        const answer = method === 'GET' ? await browser.get(url) : await browser.post(url, {});
        const allowed = may({ roles: [role] }, access as Operation, 'other');
        expect([id, role, answer.status !== 403], answer.text).toEqual([id, role, allowed]);
      }
    }
  });

  test('nobody without a session or token gets in anywhere but where nobody is asked', async () => {
    const lab = await ServiceLab.open();
    const nobody = lab.browser();
    for (const { method, path, access } of API_ROUTES) {
      const url = `/api/v1${path.replaceAll('{requestId}', newGuid()).replaceAll(/\{\w+\}/g, newGuid())}`;
      const answer = method === 'GET' ? await nobody.get(url) : await nobody.post(url, {});
      expect([access, answer.status]).toEqual([access, 401]);
    }
  });

  test('helpdesk users name the user: without, with half of one, or with another they get nothing, and it is in the audit', async () => {
    const lab = await ServiceLab.open();
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    const { keyId } = await lab.desk.escrow(pc, password(1));
    const desk = await lab.as('CORP\\desk', 'helpdesk-user');
    const search = { keyId: keyId.slice(0, 8) };
    expect((await desk.post('/api/v1/keys/search', search)).json()).toMatchObject({
      reason: 'USER_REQUIRED',
    });
    // A password that is typed behind other words is none of the audit's, and no part of it is.
    const typed = `the key is ${password(1)}`;
    expect((await desk.post('/api/v1/keys/search', { keyId: typed })).status).toBe(403);
    expect((await lab.desk.rows()).at(-1)!.keyId).toBe('the key is [redacted]');
    const half = { domain: 'CORP', account: ' ' };
    expect((await desk.post('/api/v1/keys/search', { ...search, endUser: half })).status).toBe(403);
    const ben = { domain: 'CORP', account: 'ben' };
    expect((await desk.post('/api/v1/keys/search', { ...search, endUser: ben })).json().keys).toEqual([]);
    const reason = 'Lost PIN';
    expect((await desk.post('/api/v1/keys/disclose', { keyId, reason })).json()).toMatchObject({
      ...{ status: 403, reason: 'USER_REQUIRED' },
    });
    expect((await desk.post('/api/v1/keys/disclose', { keyId, reason, endUser: ben })).json()).toMatchObject({
      reason: 'USER_UNRELATED',
    });
    const anna = { domain: 'corp', account: 'ANNA' };
    expect((await desk.post('/api/v1/keys/search', { ...search, endUser: anna })).json().keys).toHaveLength(
      1,
    );
    const shown = await desk.post('/api/v1/keys/disclose', { keyId, reason, endUser: anna });
    expect(shown.json().keys[0].value).toBe(password(1));
    const rows = await lab.desk.rows();
    expect(rows.map((row) => [row.result, row.keyType, row.source])).toEqual([
      ['Failed', 'Recovery Key ID', 'Recovery API'],
      ['Failed', 'Recovery Key ID', 'Recovery API'],
      ['Failed', 'Recovery Key ID', 'Recovery API'],
      ['Failed', 'Recovery Key ID', 'Recovery API'],
      ['Failed', 'Recovery Key Password', 'Recovery API'],
      ['Failed', 'Recovery Key Password', 'Recovery API'],
      ['Successful', 'Recovery Key ID', 'Recovery API'],
      ['Successful', 'Recovery Key Password', 'Recovery API'],
    ]);
  });

  test('a helpdesk user watches the rotation of a key that they were shown, whoever asked for it first', async () => {
    const lab = await ServiceLab.open();
    const { keyId } = await lab.desk.escrow(await lab.desk.machine('PC-7', 'CORP\\anna'), password(1));
    const endUser = { domain: 'CORP', account: 'anna' };
    const asked = { keyId, reason: 'Lost PIN', endUser };
    const [one, two] = [
      await lab.as('CORP\\One', 'helpdesk-user'),
      await lab.as('CORP\\two', 'helpdesk-user'),
    ];
    const shownTo = async (browser: Browser): Promise<string> =>
      (await browser.post('/api/v1/keys/disclose', asked)).json().keys[0].rotationRequestId;
    const url = `/api/v1/rotations/${await shownTo(one)}`;
    expect([(await one.get(url)).status, (await two.get(url)).status]).toEqual([200, 404]);
    expect(`/api/v1/rotations/${await shownTo(two)}`).toBe(url);
    for (const browser of [one, two])
      expect((await browser.get(url)).json()).toMatchObject({ keyId, state: 'REQUIRED' });
  });

  test('every search for keys has its row: what was listed, and what was not', async () => {
    const lab = await ServiceLab.open();
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    const { keyId } = await lab.desk.escrow(pc, password(1));
    await lab.desk.escrow(pc, password(2));
    const admin = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const user = { domain: 'CORP', account: 'anna' };
    const digits = keyId.slice(0, 8);
    for (const body of [{ keyId: digits, endUser: user }, { machine: 'PC-7' }, { user }, { machine: 'PC-8' }])
      expect((await admin.post('/api/v1/keys/search', body)).status).toBe(200);
    const rows = await lab.desk.rows();
    expect(rows.map((row) => [row.result, row.keyId, row.machine, row.endUser, row.detail])).toEqual([
      ['Successful', digits, '', 'CORP\\anna', '1 key ID listed'],
      ['Successful', '', 'PC-7', '', '2 key IDs listed'],
      ['Successful', '', '', 'CORP\\anna', '2 key IDs listed'],
      ['Failed', '', 'PC-8', '', 'NOT_FOUND: no such machine sent a key'],
    ]);
    expect(new Set(rows.map(({ keyType }) => keyType))).toEqual(new Set(['Recovery Key ID']));
  });

  test('of a key ID that machines of others sent too, their names are for those alone who see any machine', async () => {
    const lab = await ServiceLab.open();
    const ids = await lab.desk.escrow(await lab.desk.machine('PC-7', 'CORP\\anna'), password(1));
    await lab.desk.escrow(await lab.desk.machine('PC-8', 'CORP\\ben'), password(2), ids);
    const search = { keyId: ids.keyId.slice(0, 8), endUser: { domain: 'CORP', account: 'anna' } };
    const names = async (role: Role): Promise<string[]> => {
      const browser = await lab.as(`CORP\\${role}`, role);
      const [key] = (await browser.post('/api/v1/keys/search', search)).json().keys;
      expect(key.state.conflicting).toBe(true);
      return key.holders.map((holder: { machineName: string }) => holder.machineName).sort();
    };
    expect(await names('helpdesk-user')).toEqual(['PC-7']);
    expect(await names('helpdesk-administrator')).toEqual(['PC-7', 'PC-8']);
  });

  test('one’s own key is shown by the API where the notice was accepted, as on the pages', async () => {
    const notice = join(tempFolder('mpe-notice-'), 'notice.txt');
    writeFileSync(notice, 'Only for work.');
    const lab = await ServiceLab.open({ MPE_RECOVERY_NOTICE: notice }, { pages: true });
    const { keyId } = await lab.desk.escrow(await lab.desk.machine('PC-7', 'CORP\\anna'), password(1));
    const anna = await lab.as('CORP\\anna', 'self-service-user');
    const ask = () => anna.post('/api/v1/own/disclose', { keyId, reason: 'Lost PIN/passphrase' });
    expect((await ask()).json()).toMatchObject({ status: 403, reason: 'NOTICE_REQUIRED' });
    await anna.form('/self-service/notice', { csrf: anna.csrf, accepted: 'yes' });
    expect((await ask()).json().keys[0].value).toBe(password(1));
  });

  test('a page shows no character that is not seen', async () => {
    const lab = await ServiceLab.open({}, { pages: true });
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    const { keyId } = await lab.desk.escrow(pc, password(1), { label: 'C:\u202e\u200b' });
    const admin = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const form = { csrf: admin.csrf, digits: keyId.slice(0, 8), domain: 'CORP', account: 'an\u200dna' };
    const found = await admin.form('/helpdesk/search', { ...form, account: 'anna' });
    expect(found.text).toContain('<bdi>C:\ufffd\ufffd</bdi>');
    expect(found.text).toContain('<bdi>CORP\\PC-7</bdi>');
    expect(found.text).not.toMatch(/\p{Cf}/u);
    // What a form sends back is what was typed.
    expect((await admin.form('/helpdesk/search', { ...form, digits: '' })).text).toContain(
      'value="an\u200dna"',
    );
  });

  test('who has no role for keys is refused before anything is looked up, and that has its row too', async () => {
    const lab = await ServiceLab.open();
    const reports = await lab.as('CORP\\reports', 'report-user');
    expect(
      (await reports.post('/api/v1/keys/disclose', { keyId: newGuid(), reason: 'Lost PIN' })).status,
    ).toBe(403);
    expect(await lab.desk.rows()).toMatchObject([
      { result: 'Failed', helpdeskUser: 'CORP\\reports', detail: 'NOT_ALLOWED: key.disclose' },
    ]);
  });

  test('a role that is added or taken counts with the next request', async () => {
    const lab = await ServiceLab.open();
    const browser = await lab.as('CORP\\eve', 'report-user');
    const before = browser.cookie('__Host-mpe-session');
    expect((await browser.get('/api/v1/policies')).status).toBe(403);
    const roles: Role[] = ['operator'];
    await lab.desk.store.people.changeAccount('corp\\EVE', { roles }, lab.clock.now());
    expect((await browser.get('/api/v1/policies')).status).toBe(200);
    // With another id: the one from before is of no use any more.
    const after = browser.cookie('__Host-mpe-session');
    expect(after).not.toBe(before);
    browser.setCookie('__Host-mpe-session', before!);
    expect((await browser.get('/api/v1/policies')).status).toBe(401);
  });

  test('a route that does not say what it demands does not start', async () => {
    const { default: fastify } = await import('fastify');
    const { guardAccess } = await import('../../src/recovery/service/access.js');
    const server = fastify();
    guardAccess(server, {} as never);
    expect(() => server.get('/open', () => 'hello')).toThrow(/GET \/open does not declare/);
    expect(() =>
      server.get('/own', { config: { access: 'own.search' satisfies Operation } }, () => ''),
    ).not.toThrow();
  });
});
