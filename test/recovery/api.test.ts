import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { MpeError } from '../../src/ops/errors.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { mbamEventOf } from '../../src/recovery/service/mbam-events.js';
import { API_ROUTES } from '../../src/recovery/api/index.js';
import { tempFolder } from '../support/temp.js';
import { password } from '../workers/support.js';
import { ServiceLab } from './service-lab.js';

const run = promisify(execFile);

/** Five requests, and none more for hours, however slow the machine is. */
const FIVE_AT_ONCE = '0.001/s+5';

describe('the service', () => {
  test('carries its security headers on every answer, errors and unknown addresses included', async () => {
    const lab = await ServiceLab.open({}, { oidc: true });
    const browser = lab.browser();
    const answers = [
      await browser.get('/api/v1/openapi.json'),
      await browser.get('/nothing'),
      await browser.get('/api/v1/policies'),
      await browser.send('DELETE', '/api/v1/policies'),
      await browser.post('/sign-in/local', {}),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 401, 405, 400]);
    for (const { headers } of answers) {
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'referrer-policy': 'same-origin',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'strict-transport-security': 'max-age=31536000',
      });
      const policy = String(headers['content-security-policy']);
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain(`form-action 'self' ${lab.issuer!.url}`);
      expect(policy).not.toMatch(/unsafe|\*|data:|https?:(?!\/\/127)/);
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  test('refuses other methods, types, encodings, sizes and shapes with a problem that says what to do', async () => {
    const lab = await ServiceLab.open();
    const browser = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const url = '/api/v1/keys/search';
    const code = async (headers: Record<string, string>, body = '{}', method = 'POST'): Promise<unknown> => {
      const sent = {
        origin: browser.origin,
        'x-csrf-token': browser.csrf,
        'content-type': 'application/json',
      };
      const answer = await browser.send(method, url, { ...sent, ...headers }, body);
      expect(answer.headers['content-type']).toBe('application/problem+json');
      return [answer.status, answer.json().code];
    };
    expect(await code({}, '', 'GET')).toEqual([405, 'METHOD_NOT_ALLOWED']);
    expect(await code({ accept: 'text/csv' })).toEqual([406, 'NOT_ACCEPTABLE']);
    expect(await code({ 'content-type': 'text/plain' })).toEqual([415, 'MEDIA_TYPE_UNSUPPORTED']);
    expect(await code({ 'content-encoding': 'gzip' })).toEqual([415, 'CONTENT_ENCODING_UNSUPPORTED']);
    expect(await code({}, JSON.stringify({ keyId: 'a'.repeat(70_000) }))).toEqual([413, 'BODY_TOO_LARGE']);
    expect(await code({}, '{"keyId":')).toEqual([400, 'REQUEST_MALFORMED']);
    expect(await code({}, '{"keyId":"00000000","more":1}')).toEqual([400, 'VALUE_INVALID']);
    expect(await code({}, '{"keyId":"00000000","machine":"PC"}')).toEqual([400, 'VALUE_INVALID']);
    expect(await code({}, '{"keyId":"0000000"}')).toEqual([400, 'VALUE_INVALID']);
    expect(await code({}, '{"keyId":"0000000g"}')).toEqual([400, 'VALUE_INVALID']);
    expect(await code({}, '[]')).toEqual([400, 'VALUE_INVALID']);
  });

  test('limits what one address asks', async () => {
    const lab = await ServiceLab.open({ MPE_RECOVERY_LIMIT_ADDRESS: FIVE_AT_ONCE });
    const browser = lab.browser();
    const statuses = [];
    for (let n = 0; n < 8; n += 1) statuses.push((await browser.get('/api/v1/openapi.json')).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    const refused = await browser.get('/api/v1/openapi.json');
    expect(refused.headers['retry-after']).toMatch(/^\d+$/);
    expect(refused.json()).toMatchObject({ code: 'RATE_LIMITED', status: 429 });
  });

  test('limits as well what it refuses: a stranger’s requests, and those of somebody without the role', async () => {
    const lab = await ServiceLab.open({ MPE_RECOVERY_LIMIT_ADDRESS: FIVE_AT_ONCE });
    const browser = lab.browser();
    const statuses = [];
    for (let n = 0; n < 8; n += 1) statuses.push((await browser.get('/api/v1/people')).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
  });

  test('speaks no TLS below 1.2', async () => {
    const lab = await ServiceLab.open();
    const options = { host: '127.0.0.1', port: lab.service.port, rejectUnauthorized: false };
    await expect(
      new Promise((resolve, reject) => {
        const socket = connect(
          { ...options, maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
          () => resolve('connected'),
        );
        socket.on('error', reject);
      }),
    ).rejects.toThrow();
  });

  test('closes within its bound, whoever holds a connection open', async () => {
    const lab = await ServiceLab.open();
    const options = { host: '127.0.0.1', port: lab.service.port, rejectUnauthorized: false };
    const socket = await new Promise<ReturnType<typeof connect>>((resolve) => {
      const made = connect(options, () => resolve(made));
    });
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(
      'POST /sign-in/local HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n',
    );
    expect(await lab.service.check()).toBe('ok');
    await lab.service.close(200);
    await ended;
    await expect(lab.service.check()).rejects.toThrow('draining');
    await expect(lab.browser().get('/api/v1/session')).rejects.toThrow();
  });
});

describe('a search', () => {
  test('takes digits as people type them, and says of a key everything but its value', async () => {
    const lab = await ServiceLab.open();
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    const keyId = 'abcdef12-3456-4789-8abc-def012345678' as never;
    const { volumeId } = await lab.desk.escrow(pc, password(1), { keyId });
    await lab.desk.escrow(pc, password(2), { volumeId });
    const browser = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const search = async (body: object): Promise<ReturnType<typeof JSON.parse>> => {
      const answer = await browser.post('/api/v1/keys/search', body);
      expect(answer.text).not.toMatch(/\d{6}-\d{6}/);
      return answer.json().keys;
    };
    for (const typed of [
      'ABCDEF12',
      ' {abcdef12-3456 ',
      'abcdef12-3456-4789-8abc-def012345678',
      'ABCDEF1234564789',
    ]) {
      expect(await search({ keyId: typed })).toMatchObject([
        {
          ...{ keyId, volumeId, volumeType: 'OS', driveLabel: 'C:', hasPackage: false },
          state: {
            current: false,
            supersededAtMs: expect.any(Number),
            unproven: false,
            conflicting: false,
            damaged: false,
            exposedAtMs: null,
          },
          holders: [{ clientId: pc.clientId, machineName: 'PC-7', domain: 'CORP', current: false }],
        },
      ]);
    }
    expect(await search({ keyId: 'abcdef12ff' })).toEqual([]);
    const shown = await browser.post('/api/v1/keys/disclose', { keyId, reason: 'Lost PIN', ticket: 'INC-1' });
    expect(shown.json().keys).toMatchObject([{ value: password(1), state: 'SUPERSEDED' }]);
    expect((await search({ keyId: 'abcdef12' }))[0].state.exposedAtMs).toEqual(expect.any(Number));
    expect(await search({ machine: 'pc-7' })).toHaveLength(2);
    expect(await search({ machine: 'corp\\PC-7' })).toHaveLength(2);
    expect(await search({ machine: 'OTHER\\PC-7' })).toEqual([]);
    expect(await search({ user: { domain: 'Corp', account: 'ANNA' } })).toHaveLength(2);
    expect(await search({ user: { domain: 'CORP', account: 'ann' } })).toEqual([]);
    // Nothing of any of it in the log.
    expect(JSON.stringify(lab.desk.site.lines)).not.toContain(password(1));
  });

  test('gives a client that only claims a key ID or volume nothing', async () => {
    const lab = await ServiceLab.open();
    const { checkIn } = await import('../workers/support.js');
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    const { keyId, volumeId } = await lab.desk.escrow(pc, password(1));
    const liar = await lab.desk.machine('PC-8', 'CORP\\eve');
    await lab.desk.send(
      liar,
      checkIn([{ volumeId, keyIds: [keyId] }], {
        machineName: 'PC-8',
        users: [{ domain: 'CORP', name: 'eve' }],
      }),
    );
    const eve = await lab.as('CORP\\eve', 'self-service-user');
    const own = await eve.post('/api/v1/own/disclose', {
      keyId: keyId.slice(0, 8),
      reason: 'Lost PIN/passphrase',
    });
    expect(own.json()).toMatchObject({ status: 403, reason: 'NOT_OWN_MACHINE' });
    const admin = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const found = (await admin.post('/api/v1/keys/search', { machine: 'PC-8' })).json().keys;
    expect(found).toEqual([]);
  });

  test('of one’s own demands all digits where eight are ambiguous', async () => {
    const lab = await ServiceLab.open();
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    const ids = [
      'abcdef12-0000-4000-8000-000000000001',
      'abcdef12-0000-4000-8000-000000000002',
    ] as string[] as [Guid, Guid];
    await lab.desk.escrow(pc, password(1), { keyId: ids[0] });
    await lab.desk.escrow(pc, password(2), { keyId: ids[1] });
    const anna = await lab.as('CORP\\anna', 'self-service-user');
    const ask = (keyId: string) =>
      anna.post('/api/v1/own/disclose', { keyId, reason: 'Lost PIN/passphrase' });
    expect((await ask('abcdef12')).json()).toMatchObject({ status: 409, reason: 'AMBIGUOUS' });
    expect((await ask(ids[1])).json().keys).toMatchObject([{ value: password(2) }]);
    expect((await lab.desk.rows()).map(({ result, source }) => [result, source])).toEqual([
      ['Failed', 'Self-Service Portal'],
      ['Successful', 'Self-Service Portal'],
    ]);
  });
});

describe('operations', () => {
  test('an incident is proposed by one person and confirmed by another; coverage and gateways are told', async () => {
    const lab = await ServiceLab.open();
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    await lab.desk.escrow(pc, password(1));
    const one = await lab.as('CORP\\one', 'helpdesk-administrator', 'operator');
    const two = await lab.as('CORP\\two', 'operator');
    const unknown = await one.post('/api/v1/incidents', { title: 'Stolen van', machines: ['PC-8'] });
    expect(unknown.json()).toMatchObject({ status: 400, detail: 'PC-8: no machine has this name' });
    const proposed = (
      await one.post('/api/v1/incidents', { title: 'Stolen van', machines: ['corp\\pc-7'] })
    ).json();
    expect(proposed).toMatchObject({ state: 'PROPOSED', machines: 1, confirmedBy: null });
    const confirm = `/api/v1/incidents/${proposed.incidentId}/confirm`;
    expect((await one.post(confirm)).status).toBe(400);
    expect((await two.post(confirm)).json()).toMatchObject({ state: 'OPEN', confirmedBy: 'corp\\two' });
    expect((await two.get('/api/v1/incidents')).json().incidents).toHaveLength(1);
    expect((await two.post(confirm.replace('confirm', 'end'))).json().state).toBe('ENDED');
    expect((await two.get('/api/v1/reports/coverage')).json().denominator).toEqual({
      machines: 1,
      imported: false,
    });
    const points = [
      { id: 'gw1', channel: 'HTTPS', address: 'https://gw1', firstSeenAtMs: 1, lastSeenAtMs: 1 },
    ] as const;
    await lab.desk.store.policy.recordManagementPoints(points, lab.clock.now());
    const told = (await two.get('/api/v1/management-points')).json().managementPoints;
    expect(told).toMatchObject([{ id: 'gw1', channel: 'HTTPS' }]);
    // The published filter by the type of user, without a name.
    const asked = async (userType: string): Promise<string[]> =>
      (await one.get(`/api/v1/reports/audit?userType=${userType}`))
        .json()
        .lines.map(({ source }: { source: string }) => source);
    const anna = await lab.as('CORP\\anna', 'self-service-user');
    await anna.post('/api/v1/own/disclose', { keyId: newGuid(), reason: 'Lost PIN/passphrase' });
    expect(await asked('end-user')).toEqual(['Self-Service Portal']);
    expect(await asked('helpdesk')).toEqual(Array(4).fill('Recovery API'));
    const rows = (await one.get('/api/v1/reports/audit?result=Failed&userType=helpdesk')).json().lines;
    expect(rows).toMatchObject([{ result: 'Failed', helpdeskUser: 'CORP\\one' }]);
  });
});

describe('policies', () => {
  const rings = [{ tag: 'pilot' }, { tag: 'rest', opens: 'AFTER_PREVIOUS' }];

  test('are made, changed, deployed and retired, their rings opened, paused and resumed; each has its row', async () => {
    const lab = await ServiceLab.open();
    const operator = await lab.as('CORP\\one', 'operator');
    const made = (await operator.post('/api/v1/policies', { name: 'North', rings })).json();
    expect(made).toMatchObject({
      ...{ state: 'DRAFT', revision: 1, mode: 'ESCROW', checkIntervalMinutes: 90, warnings: [] },
      rings: [
        { position: 1, tag: 'pilot', state: 'CLOSED', failureLimit: 20 },
        { position: 2, tag: 'rest', state: 'CLOSED', opens: 'AFTER_PREVIOUS' },
      ],
    });
    const at = `/api/v1/policies/${made.policyId}`;
    const ring = (n: number, verb: string): string => `/api/v1/rings/${made.policyId}.${n}/${verb}`;
    expect((await operator.post(ring(1, 'open'))).json()).toMatchObject({ status: 400 });
    const set = { revision: 1, mode: 'MANAGE', checkIntervalMinutes: 30 };
    expect((await operator.post(`${at}/set`, set)).json()).toMatchObject({
      ...{ revision: 2, mode: 'MANAGE', checkIntervalMinutes: 30, name: 'North' },
      warnings: [expect.stringContaining('below 60 minutes')],
    });
    expect((await operator.post(`${at}/deploy`, { revision: 2 })).json()).toMatchObject({
      ...{ state: 'DEPLOYED', revision: 3, deployedAtMs: expect.any(Number) },
    });
    // Once more changes nothing, and needs no row.
    expect((await operator.post(`${at}/deploy`)).json()).toMatchObject({ revision: 3 });
    expect((await operator.post(ring(2, 'open'))).json()).toMatchObject({
      ...{ status: 400, detail: 'ring 1 (pilot) before it is closed: rings open in their order' },
    });
    expect((await operator.post(ring(1, 'open'))).json()).toMatchObject({ order: 1, state: 'DONE' });
    const reason = 'tickets: 012345-012345-012345-012345-012345-012345-012345-012345';
    const paused = await operator.post(ring(1, 'pause'), { reason });
    expect(paused.json()).toMatchObject({ state: 'PAUSED', detail: expect.stringMatching(/^tickets: /) });
    expect(paused.text).not.toContain('012345-012345');
    expect((await operator.post(ring(1, 'resume'))).json()).toMatchObject({ state: 'DONE', detail: '' });
    expect((await operator.post(`${at}/retire`)).json()).toMatchObject({ state: 'RETIRED', revision: 7 });
    expect((await operator.get('/api/v1/policies')).json().policies).toMatchObject([{ name: 'Default' }]);
    expect((await operator.post(ring(1, 'pause'))).status).toBe(400);
    const auditor = await lab.as('CORP\\two', 'auditor');
    const shown = (await auditor.get(at)).json();
    expect(shown).toMatchObject({ state: 'RETIRED', revision: 7 });
    const done = ['RETIRED', 'RING_RESUMED', 'RING_PAUSED', 'RING_OPENED', 'DEPLOYED', 'CHANGED', 'CREATED'];
    expect(shown.history.map(({ event }: { event: string }) => event)).toEqual(done);
    const rows = await lab.desk.rows();
    expect(rows.map((row) => [row.reason, row.detail.replace(made.policyId, 'id')])).toEqual([
      ['Policy created', expect.stringMatching(/^policy "North" \(id\), revision 1: name=North rings=/)],
      ['Policy changed', 'policy "North" (id), revision 2: mode=MANAGE checkIntervalMinutes=30'],
      ['Policy deployed', 'policy "North" (id), revision 3'],
      ['Ring opened', 'policy "North" (id), revision 4: ring 1 (pilot)'],
      ['Ring paused', expect.stringMatching(/revision 5: ring 1 \(pilot\): tickets: /)],
      ['Ring resumed', 'policy "North" (id), revision 6: ring 1 (pilot)'],
      ['Policy retired', 'policy "North" (id), revision 7'],
    ]);
    const said = new Set(rows.map((row) => `${row.result} ${row.source} ${row.actor} ${row.keyType}`));
    expect([...said]).toEqual(['Successful Recovery API corp\\one ']);
  });

  test('are changed of the revision that was read alone, by operators alone, and to what may be', async () => {
    const lab = await ServiceLab.open();
    const operator = await lab.as('CORP\\one', 'operator');
    const { policyId } = (await operator.post('/api/v1/policies', { name: 'North' })).json();
    const at = `/api/v1/policies/${policyId}`;
    const code = async (path: string, body: object): Promise<unknown[]> => {
      const answer = await operator.post(path, body);
      return [answer.status, answer.json().code, answer.json().detail];
    };
    expect((await operator.post(`${at}/set`, { revision: 1, mode: 'MANAGE' })).status).toBe(200);
    const conflict = [409, 'CONFLICT', expect.stringContaining('is at revision 2, not 1: read it again')];
    expect(await code(`${at}/set`, { revision: 1, mode: 'OBSERVE' })).toEqual(conflict);
    expect(await code(`${at}/deploy`, { revision: 1 })).toEqual(conflict);
    expect(await code(`${at}/retire`, { revision: 1 })).toEqual(conflict);
    const invalid = (text: string) => [400, 'VALUE_INVALID', expect.stringContaining(text)];
    expect(await code(`${at}/set`, { mode: 'OBSERVE' })).toEqual(invalid('revision'));
    expect(await code(`${at}/set`, { revision: 2 })).toEqual(invalid('nothing to change'));
    const set = (more: object) => code(`${at}/set`, { revision: 2, ...more });
    expect(await set({ checkIntervalMinutes: 2881 })).toEqual(invalid('checkIntervalMinutes'));
    expect(await set({ rings: [{ tag: 'a b' }] })).toEqual(invalid('rings.0.tag'));
    expect(await set({ rings: [{ tag: 'a' }, { tag: 'a' }] })).toEqual(invalid('a is in two rings'));
    expect(await set({ colour: 'red' })).toEqual(invalid('colour'));
    expect(await code('/api/v1/policies', { name: ' north ' })).toEqual(invalid('is there already'));
    expect(await code('/api/v1/policies', { mode: 'ESCROW' })).toEqual(invalid('name'));
    expect(await code('/api/v1/policies/x/deploy', {})).toEqual(invalid('policyId'));
    expect(await code(`/api/v1/rings/${policyId}.1/open`, {})).toEqual(invalid('there is no ring'));
    const missing = [404, 'NOT_FOUND', expect.any(String)];
    for (const verb of ['deploy', 'retire'])
      expect(await code(`/api/v1/policies/${newGuid()}/${verb}`, {})).toEqual(missing);
    expect(await code(`/api/v1/policies/${newGuid()}/set`, { revision: 1 })).toEqual(missing);
    expect((await operator.get(`/api/v1/policies/${newGuid()}`)).status).toBe(404);
    // Nothing of all that came about, nor is it in the audit as if it had.
    expect((await operator.get(at)).json()).toMatchObject({ revision: 2, mode: 'MANAGE', state: 'DRAFT' });
    expect((await lab.desk.rows()).map(({ reason }) => reason)).toEqual(['Policy created', 'Policy changed']);
    const withoutCsrf = { 'x-csrf-token': '' };
    expect((await operator.post(`${at}/deploy`, {}, withoutCsrf)).json().code).toBe('CSRF_REFUSED');
  });

  test('that a page changes have their rows too', async () => {
    const lab = await ServiceLab.open({}, { pages: true });
    const operator = await lab.as('CORP\\one', 'operator');
    const fields = { name: 'North', mode: 'ESCROW', tag: 'north', interval: '90', csrf: operator.csrf };
    expect((await operator.form('/administration/policy', fields)).status).toBe(303);
    const { policyId } = (await operator.get('/api/v1/policies'))
      .json()
      .policies.find(({ name }: { name: string }) => name === 'North');
    const at = `/administration/policy/${policyId}/set`;
    const changed = { ...fields, packages: 'yes', revision: '1' };
    expect((await operator.form(at, changed)).status).toBe(303);
    // Of a revision that is no more, nothing is changed and nothing is in the audit.
    expect((await operator.form(at, changed)).status).toBe(409);
    const rows = await lab.desk.rows();
    expect(rows.map(({ source, actor, reason }) => [source, actor, reason])).toEqual([
      ['Helpdesk', 'corp\\one', 'Policy created'],
      ['Helpdesk', 'corp\\one', 'Policy changed'],
    ]);
  });

  test('are not changed where the audit cannot be written', async () => {
    const lab = await ServiceLab.open();
    const operator = await lab.as('CORP\\one', 'operator');
    const db = new Database(`${lab.desk.site.folder}/site.db`);
    db.exec("CREATE TRIGGER NoAudit BEFORE INSERT ON MPE_Audit BEGIN SELECT RAISE(ABORT, 'no'); END");
    db.close();
    const answer = await operator.post('/api/v1/policies', { name: 'North' });
    expect(answer.json()).toMatchObject({ status: 503, code: 'AUDIT_UNAVAILABLE' });
    expect((await operator.get('/api/v1/policies')).json().policies).toMatchObject([{ name: 'Default' }]);
  });
});

describe('rotations that a page asks for', () => {
  test('are due so many days after their turn', async () => {
    const lab = await ServiceLab.open({}, { pages: true });
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    await lab.desk.escrow(pc, password(1));
    const browser = await lab.as('CORP\\one', 'operator');
    const terms = { days: '14', perHour: '60', sure: 'yes' };
    const fields = { kind: 'clients', ids: pc.clientId, ...terms, csrf: browser.csrf };
    expect((await browser.form('/administration/rotations/request', fields)).status).toBe(303);
    const [line] = (await browser.get('/api/v1/rotations')).json().rotations;
    expect(line.deadlineMs - line.openedAtMs).toBe(14 * 24 * 3_600_000);
    // Asked for and given up: each a row, which names no key as shown.
    const abandon = `/api/v1/rotations/${line.requestId}/abandon`;
    for (let n = 0; n < 2; n += 1) await browser.post(abandon, { reason: 'registered anew' });
    const rows = (await lab.desk.rows()).filter(({ reason }) => reason.startsWith('Rotation'));
    expect(rows.map(({ reason, keyType, keyId, result }) => [reason, keyType, keyId, result])).toEqual([
      ['Rotation requested', '', '', 'Successful'],
      ['Rotation abandoned: registered anew', '', '', 'Successful'],
    ]);
    expect(rows.map(({ source, actor }) => [source, actor])).toEqual([
      ['Helpdesk', 'corp\\one'],
      ['Recovery API', 'corp\\one'],
    ]);
  });
});

describe('failures', () => {
  test('carry the event ids of the original: an audit that cannot be written shows no key and is 101', async () => {
    const lab = await ServiceLab.open({}, { pages: true });
    const pc = await lab.desk.machine('PC-7', 'CORP\\anna');
    const { keyId, volumeId } = await lab.desk.escrow(pc, password(1));
    const admin = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const db = new Database(`${lab.desk.site.folder}/site.db`);
    db.exec("CREATE TRIGGER NoAudit BEFORE INSERT ON MPE_Audit BEGIN SELECT RAISE(ABORT, 'no'); END");
    db.close();
    const answer = await admin.post('/api/v1/keys/disclose', { keyId, reason: 'Lost PIN' });
    expect(answer.json()).toMatchObject({ status: 503, code: 'AUDIT_UNAVAILABLE' });
    expect(answer.text).not.toContain(password(1));
    const failed = lab.desk.site.lines.filter((line) => line['event'] === 'recovery.request_failed');
    expect(failed).toMatchObject([{ mbamEventId: 101, source: 'Recovery API', level: 'error' }]);
    // A page tells it by itself, without an error: 110, once.
    const mark = lab.desk.site.lines.length;
    const key = `${keyId} ${volumeId} plain`;
    const page = await admin.form('/helpdesk/disclose', { key, reason: 'Lost PIN', csrf: admin.csrf });
    expect([page.status, page.text.includes('No key without its record')]).toEqual([503, true]);
    expect(page.text).not.toContain(password(1));
    const events = lab.desk.site.lines.slice(mark).filter((line) => line['mbamEventId'] !== undefined);
    expect(events).toMatchObject([
      { event: 'disclosure.audit_unavailable', mbamEventId: 110, source: 'Helpdesk', level: 'error' },
    ]);
  });

  test('of pages, of the database and of the schema have theirs', () => {
    const store = new MpeError('STORE_TRANSIENT', 'away');
    const audit = new MpeError('AUDIT_UNAVAILABLE', 'away');
    const other = new Error('other');
    expect([store, audit, other].map((error) => mbamEventOf('Helpdesk', error))).toEqual([109, 110, 106]);
    expect(mbamEventOf('Self-Service Portal', other)).toBe(107);
    expect([store, audit, other].map((error) => mbamEventOf('MBAM', error))).toEqual([100, 101, 112]);
    expect(mbamEventOf('Helpdesk', new MpeError('SCHEMA_MISMATCH', 'newer'))).toBe(111);
  });

  test('of self-service that is switched off: neither sign-in nor call, and the attempt has its row', async () => {
    const lab = await ServiceLab.open({ MPE_RECOVERY_SELF_SERVICE: 'off' });
    await lab.account('CORP\\anna', 'self-service-user');
    const refused = await lab.signIn(lab.browser(), 'CORP\\anna', undefined, 'self-service');
    expect(refused.json()).toMatchObject({ status: 403, reason: 'OFF' });
    const anna = await lab.signedIn('CORP\\anna');
    expect((await anna.get('/api/v1/own/machines')).status).toBe(403);
    const asked = await anna.post('/api/v1/own/disclose', {
      keyId: newGuid(),
      reason: 'Lost PIN/passphrase',
    });
    expect(asked.status).toBe(403);
    expect(await lab.desk.rows()).toMatchObject([{ result: 'Failed', actor: 'corp\\anna' }]);
  });
});

describe('the OpenAPI document', () => {
  test('names every route, and the linter has nothing to say', async () => {
    const lab = await ServiceLab.open();
    const { text } = await lab.browser().get('/api/v1/openapi.json');
    const document = JSON.parse(text) as { openapi: string; paths: Record<string, Record<string, unknown>> };
    expect(document.openapi).toBe('3.1.0');
    const named = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const served = API_ROUTES.map(({ method, path }) => `${method} /api/v1${path}`);
    const session = ['GET /api/v1/session', 'POST /api/v1/sign-out', 'POST /sign-in/local'];
    expect(named.sort()).toEqual([...served, ...session].sort());
    const file = join(tempFolder('mpe-openapi-'), 'openapi.json');
    writeFileSync(file, text);
    const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
    const lint = await run(
      'npx',
      ['redocly', 'lint', file, '--extends', 'recommended-strict', '--format', 'json'],
      { env },
    ).catch((error: unknown) => error as { stdout: string });
    const { problems } = JSON.parse(lint.stdout) as { problems: unknown[] };
    expect(problems).toEqual([]);
  }, 120_000);
});

describe('compatible calls', () => {
  const basic = (name: string): Record<string, string> => ({
    authorization: `Basic ${Buffer.from(`${name}:correct horse battery staple`).toString('base64')}`,
    ...{ origin: '', 'sec-fetch-site': '', 'x-csrf-token': '' },
  });
  const open = (): Promise<ServiceLab> => ServiceLab.open({ MPE_RECOVERY_COMPATIBLE: 'adminservice,mbam' });

  test('of the AdminService list a device’s keys and show one, audited and rotating, whatever the case of the path', async () => {
    const lab = await open();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    const pc = await lab.desk.machine('PC-0042', 'CORP\\anna');
    const { keyId } = await lab.desk.escrow(pc, password(1));
    const foreign = await lab.desk.escrow(await lab.desk.machine('PC-0043'), password(2));
    const browser = lab.browser();
    const who = basic('CORP\\admin');
    const filter = encodeURIComponent("Name eq 'pc-0042'");
    const systems = await browser.get(`/AdminService/wmi/SMS_R_System?$filter=${filter}`, who);
    const [{ ResourceId: id, Name }] = systems.json().value;
    expect([id, Name]).toEqual([16_777_216, 'PC-0042']);
    const more = [`v1.0/Device?$filter=${filter}`, `wmi/sms_r_system?$filter=NetbiosName+eq+'PC-0042'`];
    const [byName, byNetbios] = await Promise.all(
      more.map(async (path) => (await browser.get(`/AdminService/${path}`, who)).json().value),
    );
    expect(byName).toEqual([{ MachineId: id, Name: 'PC-0042' }]);
    expect(byNetbios).toEqual([{ ResourceId: id, Name: 'PC-0042' }]);
    // A password that is refused is asked for anew, as HTTP wants it.
    const wrong = { ...who, authorization: `Basic ${Buffer.from('CORP\\admin:no').toString('base64')}` };
    const refused = await browser.get(`/AdminService/v1.0/Device(${id})`, wrong);
    expect([refused.status, refused.headers['www-authenticate']]).toEqual([
      401,
      'Basic realm="mpe", charset="UTF-8"',
    ]);
    const device = await browser.get(`/adminservice/v1.0/device(${id})`, who);
    expect(device.headers['content-type']).toBe('application/json; odata.metadata=minimal');
    expect(device.json()).toMatchObject({ MachineId: id, Name: 'PC-0042' });
    const keys = await browser.get(`/ADMINSERVICE/v1.0/Device(${id})/RecoveryKeys`, who);
    expect(keys.json().value).toEqual([{ ItemKey: id, RecoveryKeyId: keyId, VolumeTypeId: 1 }]);
    expect(keys.text).not.toContain(password(1));
    const value = (RecoveryKeyId: string) =>
      browser.post(
        `/AdminService/v1.0/Device(${id})/AdminService.GetRecoveryKeyValue`,
        { RecoveryKeyId },
        who,
      );
    expect((await value(`{${keyId.toUpperCase()}}`)).json().value).toBe(password(1));
    expect((await value(keyId)).json().value).toBe(password(1));
    const missing = await value(foreign.keyId);
    expect([missing.status, missing.json().error.code]).toEqual([404, 'NOT_FOUND']);
    expect((await value(newGuid())).status).toBe(404);
    expect((await browser.get('/AdminService/v1.0/Device(99999999)/RecoveryKeys', who)).status).toBe(404);
    const rows = await lab.desk.rows();
    expect(new Set(rows.map(({ source }) => source))).toEqual(new Set(['AdminService']));
    expect(rows.map(({ result, keyType, detail }) => [result, keyType, detail])).toEqual([
      ['Successful', 'Recovery Key ID', '1 key ID listed'],
      ...Array(2).fill(['Successful', 'Recovery Key Password', '']),
      ...Array(2).fill(['Failed', 'Recovery Key ID', 'NOT_FOUND: PC-0042 sent no such key']),
    ]);
    const open_ = await lab.desk.store.rotation.page({ open: true, keyId }, null, 10);
    expect(open_).toHaveLength(1);
  });

  test('of the AdminService never give another machine’s password for that of a device', async () => {
    const lab = await open();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    const { store } = lab.desk;
    const pc = await lab.desk.machine('PC-0042', 'CORP\\anna');
    const at = await lab.desk.escrow(pc, password(1));
    await lab.desk.escrow(await lab.desk.machine('PC-0043'), password(2), at);
    const secrets = await store.disclosure.readKey(at.keyId);
    const own = secrets.find(({ holders }) => holders.some(({ clientId }) => clientId === pc.clientId))!;
    await store.markDamaged(own.identity.secretId, own.generations[0]!.generation, 'DECRYPT_FAILED', 1);
    const [id] = await store.search.numberMachines([pc.clientId]);
    const answer = await lab
      .browser()
      .post(
        `/AdminService/v1.0/Device(${id})/AdminService.GetRecoveryKeyValue`,
        { RecoveryKeyId: at.keyId },
        basic('CORP\\admin'),
      );
    expect([answer.status, answer.json().error.code]).toEqual([403, 'DISCLOSURE_REFUSED']);
    expect(answer.text).not.toContain(password(2));
    // Of one key ID on two machines' volumes, the one that is answered is exposed, and no other.
    const { keyId, volumeId } = await lab.desk.escrow(pc, password(3));
    const there = await lab.desk.escrow(await lab.desk.machine('PC-0044'), password(4), { keyId });
    const shown = await lab
      .browser()
      .post(
        `/AdminService/v1.0/Device(${id})/AdminService.GetRecoveryKeyValue`,
        { RecoveryKeyId: keyId },
        basic('CORP\\admin'),
      );
    expect(shown.json().value).toBe(password(3));
    const isShown = (volume: Guid) => store.disclosure.wasShownTo('corp\\admin', keyId, volume);
    expect([await isShown(volumeId), await isShown(there.volumeId)]).toEqual([true, false]);
  });

  const soap = (operation: string, fields: string): string =>
    `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://www.w3.org/2005/08/addressing"><s:Header>` +
    `<w:Action>http://tempuri.org/IAdministrationService/${operation}</w:Action></s:Header>` +
    `<s:Body><${operation} xmlns="http://tempuri.org/">${fields}</${operation}></s:Body></s:Envelope>`;

  test('of MBAM list key IDs and show a key; what is no request of theirs is a fault', async () => {
    const lab = await open();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    await lab.account('CORP\\desk', 'helpdesk-user');
    const pc = await lab.desk.machine('PC-0042', 'CORP\\anna');
    const { keyId } = await lab.desk.escrow(pc, password(1));
    const browser = lab.browser();
    const post = (body: string, who = 'CORP\\admin', type = 'application/soap+xml') =>
      browser.send(
        'POST',
        '/MBAMAdministrationService/AdministrationService.svc',
        { ...basic(who), 'content-type': type },
        body,
      );
    const ids = await post(
      soap(
        'GetRecoveryKeyIds',
        `<partialRecoveryKeyId>${keyId.slice(0, 8).toUpperCase()}</partialRecoveryKeyId><reasonCode>Other</reasonCode>`,
      ),
    );
    expect(ids.headers['content-type']).toBe('application/soap+xml; charset=utf-8');
    expect(ids.text).toContain(`<b:string>${keyId}</b:string>`);
    expect(ids.text).not.toContain(password(1));
    const key = soap(
      'GetRecoveryKey',
      `<recoveryKeyId>${keyId}</recoveryKeyId><reasonCode>Other</reasonCode>`,
    );
    expect((await post(key)).text).toContain(`<b:RecoveryKey>${password(1)}</b:RecoveryKey>`);
    const anyCase = '/mbamadministrationservice/ADMINISTRATIONSERVICE.svc';
    const type = { 'content-type': 'application/soap+xml' };
    const listed = soap(
      'GetRecoveryKeyIds',
      '<partialRecoveryKeyId>ffffffff</partialRecoveryKeyId><reasonCode>Other</reasonCode>',
    );
    const none = await browser.send('POST', anyCase, { ...basic('CORP\\admin'), ...type }, listed);
    expect([none.status, none.text.includes('GetRecoveryKeyIdsResult')]).toEqual([200, true]);
    // Who must name the user cannot.
    expect((await post(key, 'CORP\\desk')).status).toBe(403);
    // Two passwords for one key ID: one alone would be taken for the right one.
    const both = await lab.desk.escrow(pc, password(2));
    await lab.desk.escrow(await lab.desk.machine('PC-0043'), password(3), both);
    const several = await post(key.replace(keyId, both.keyId));
    expect([several.status, several.text.includes('use the portal')]).toEqual([400, true]);
    for (const n of [2, 3]) expect(several.text).not.toContain(password(n));
    const bad = [
      key
        .replace('<s:Envelope', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><s:Envelope')
        .replace('Other', '&e;'),
      key.replace('Other', '&unknown;'),
      key.replace('</s:Body>', ''),
      key.replaceAll('2003/05/soap-envelope', '2001/06/soap-envelope'),
      key.replaceAll('http://tempuri.org/"', 'http://other.example/"'),
      key.replace('IAdministrationService/GetRecoveryKey<', 'IAdministrationService/GetRecoveryKeyIds<'),
      key.replaceAll('GetRecoveryKey', 'DropEverything'),
      key.replace('<reasonCode>', `<recoveryKeyId>${keyId}</recoveryKeyId><reasonCode>`),
      key.replace('Other', '<a/>'),
      `<?xml-stylesheet href="x"?>${key}`,
      '',
    ];
    for (const body of bad) {
      const answer = await post(body);
      expect([answer.status, answer.text.includes('<s:Value>s:Sender</s:Value>')], body).toEqual([400, true]);
    }
    expect((await post(key, 'CORP\\admin', 'text/xml')).status).toBe(415);
    const rows = await lab.desk.rows();
    expect(rows.map(({ result, source, keyType }) => [result, source, keyType])).toEqual([
      ...[
        ['Successful', 'MBAM', 'Recovery Key ID'],
        ['Successful', 'MBAM', 'Recovery Key Password'],
        ['Failed', 'MBAM', 'Recovery Key ID'],
      ],
      ['Failed', 'MBAM', 'Recovery Key Password'],
      ['Failed', 'MBAM', 'Recovery Key Password'],
    ]);
    expect(rows.at(-1)?.detail).toMatch(/^AMBIGUOUS: /);
  });

  test('take no session, and are not there where they are not switched on', async () => {
    const lab = await open();
    const browser = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const answer = await browser.get('/AdminService/v1.0/Device(16777216)');
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([
      401,
      'Basic realm="mpe", charset="UTF-8"',
    ]);
    const off = await ServiceLab.open();
    await off.account('CORP\\admin', 'helpdesk-administrator');
    expect((await off.browser().get('/AdminService/v1.0/Device(1)', basic('CORP\\admin'))).status).toBe(404);
  });
});
