import { randomBytes } from 'node:crypto';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { ROLES } from '../../src/recovery/roles.js';
import { password, TestClient } from '../workers/support.js';
import type { Answer, Browser } from './browser.js';
import { PASSWORD, ServiceLab } from './service-lab.js';

interface Operation {
  readonly operationId: string;
  readonly requestBody?: { readonly required: boolean };
  readonly responses: Readonly<Record<string, { readonly $ref?: string; readonly content?: object }>>;
}

/** Asks as the document says, and holds what comes back against it. */
class Caller {
  readonly #paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  /** Operations that answered 2xx. */
  readonly done = new Set<string>();
  /** Problems that came. */
  readonly codes = new Set<string>();

  constructor(document: { readonly paths: Caller['paths'] }) {
    this.#paths = document.paths;
    this.#ajv.addSchema(document, 'doc');
  }

  get paths(): Readonly<Record<string, Readonly<Record<string, Operation>>>> {
    return this.#paths;
  }

  operations(): Operation[] {
    return Object.values(this.#paths).flatMap((methods) => Object.values(methods));
  }

  async ask(
    browser: Browser,
    id: string,
    given: {
      readonly body?: unknown;
      readonly params?: Record<string, string>;
      readonly query?: string;
    } = {},
    status?: number,
  ): Promise<ReturnType<Answer['json']>> {
    const [path, methods] = Object.entries(this.#paths).find(([, all]) =>
      Object.values(all).some(({ operationId }) => operationId === id),
    )!;
    const [method] = Object.entries(methods).find(([, { operationId }]) => operationId === id)!;
    const at = Object.entries(given.params ?? {}).reduce((url, [k, v]) => url.replace(`{${k}}`, v), path);
    const url = `${at}${given.query === undefined ? '' : `?${given.query}`}`;
    const answer = method === 'get' ? await browser.get(url) : await browser.post(url, given.body ?? null);
    if (status !== undefined) expect(answer.status, `${id}: ${answer.text}`).toBe(status);
    this.#hold(path, method, answer);
    if (answer.status < 300) this.done.add(id);
    else this.codes.add(String(answer.json().code));
    if (answer.status < 300 && given.body !== undefined)
      expect(this.#check(path, method, 'requestBody', 'application/json')(given.body), id).toBe(true);
    return answer.text === '' ? null : answer.json();
  }

  /** The status stands in the document, and the body is what it says there. */
  #hold(path: string, method: string, answer: Answer): void {
    const said = this.#paths[path]![method]!.responses[String(answer.status)];
    expect(said, `${method} ${path} ${answer.status}`).toBeDefined();
    if (answer.status === 204) {
      expect(answer.text).toBe('');
      return;
    }
    const isProblem = said!.$ref !== undefined;
    const type = isProblem ? 'application/problem+json' : 'application/json';
    expect(String(answer.headers['content-type']).split(';')[0]).toBe(type);
    const validate = isProblem
      ? this.#compiled('doc#/components/schemas/Problem')
      : this.#check(path, method, `responses/${answer.status}`, type);
    const fits = validate(answer.json());
    expect(fits ? null : validate.errors, `${method} ${path}: ${answer.text}`).toBeNull();
  }

  #check(path: string, method: string, part: string, type: string): ValidateFunction {
    const pointer = [path, method].map((one) => one.replaceAll('~', '~0').replaceAll('/', '~1'));
    const [at, how] = pointer;
    const place = `paths/${at!}/${how!}/${part}/content/${type.replaceAll('/', '~1')}/schema`;
    return this.#compiled(`doc#/${place.split('/').map(encodeURIComponent).join('/')}`);
  }

  #compiled(ref: string): ValidateFunction {
    return this.#ajv.getSchema(ref) ?? this.#ajv.compile({ $ref: ref });
  }
}

test('every call of the document takes what it says, and answers and refuses as it says', async () => {
  const lab = await ServiceLab.open();
  const { desk } = lab;
  const me = await lab.as('CORP\\everybody', ...ROLES);
  const other = await lab.as('CORP\\other', 'operator');
  const call = new Caller(
    (await lab.browser().get('/api/v1/openapi.json')).json() as { paths: Caller['paths'] },
  );
  const pc = await desk.machine('PC-🍌', 'CORP\\everybody');
  const keyPackage = randomBytes(300);
  const key = await desk.escrow(pc, password(1), { keyPackage });
  const { keyId: another } = await desk.escrow(pc, password(2));
  await desk.send(pc, { type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth: randomBytes(20) });
  // The same key ID with another password: conflicting, and one of both damaged is withheld.
  await desk.escrow(await desk.machine('PC-8'), password(3), key);
  const [first] = await desk.store.disclosure.readKey(key.keyId);
  await desk.store.markDamaged(first!.identity.secretId, 1, 'DECRYPT_FAILED', 1);

  const stranger = lab.browser();
  await call.ask(stranger, 'showSession', {}, 401);
  await call.ask(stranger, 'signIn', { body: { name: 'CORP\\everybody', password: 'no' } }, 401);
  await call.ask(stranger, 'signIn', { body: {} }, 400);
  stranger.csrf = (
    await call.ask(stranger, 'signIn', { body: { name: 'CORP\\everybody', password: PASSWORD } }, 200)
  ).csrf;
  await call.ask(stranger, 'showSession', {}, 200);
  await call.ask(stranger, 'signOut', {}, 200);

  for (const body of [
    { keyId: key.keyId },
    { machine: 'PC-🍌' },
    { user: { domain: 'CORP', account: 'everybody' } },
  ])
    expect((await call.ask(me, 'searchKeys', { body }, 200)).keys.length).toBeGreaterThan(0);
  const shown = await call.ask(me, 'discloseKey', { body: { keyId: key.keyId, reason: 'Lost PIN' } }, 200);
  expect([...shown.withheld, ...shown.keys].length).toBeGreaterThan(1);
  const packed = { keyId: key.keyId, kind: 'key-package', reason: '🍌'.repeat(100), ticket: 'INC-1' };
  await call.ask(me, 'discloseKey', { body: packed }, 200);
  await call.ask(me, 'discloseTpm', { body: { machine: pc.clientId, reason: 'Clear TPM' } }, 200);
  await call.ask(me, 'listReasons', { query: 'kind=tpm-password-hash' }, 200);
  const ownReasons = ['BIOS/TPM changed', 'OS files modified', 'Lost PIN/passphrase'];
  expect((await call.ask(me, 'listReasons', { query: 'own=true' }, 200)).reasons).toEqual(ownReasons);
  await call.ask(me, 'listOwnMachines', {}, 200);
  const own = { keyId: another.slice(0, 8), reason: 'BIOS/TPM changed' };
  const requestId: string = (await call.ask(me, 'discloseOwnKey', { body: own }, 200)).keys[0]
    .rotationRequestId;

  await call.ask(me, 'listRotations', { query: 'open=true&overdue=false&limit=500' }, 200);
  await call.ask(me, 'watchRotation', { params: { requestId } }, 200);
  await call.ask(me, 'requestRotations', { body: { clientIds: [pc.clientId], perHour: 1 } }, 200);
  await call.ask(me, 'abandonRotation', { params: { requestId }, body: { reason: 'a test' } }, 204);
  await call.ask(me, 'abandonRotation', { params: { requestId }, body: { reason: 'again' } }, 400);

  const rings = [{ tag: 'pilot' }];
  const { policyId } = await call.ask(me, 'createPolicy', { body: { name: 'North', rings } }, 200);
  const params = { policyId, ringId: `${policyId as string}.1` };
  await call.ask(me, 'setPolicy', { params, body: { revision: 1, checkIntervalMinutes: 30 } }, 200);
  await call.ask(me, 'setPolicy', { params, body: { revision: 1, mode: 'MANAGE' } }, 409);
  await call.ask(me, 'deployPolicy', { params }, 200);
  await call.ask(me, 'openRing', { params }, 200);
  await call.ask(me, 'pauseRing', { params, body: { reason: 'a test' } }, 200);
  await call.ask(me, 'resumeRing', { params }, 200);
  for (const id of ['listPolicies', 'listRings']) await call.ask(me, id, {}, 200);
  await call.ask(me, 'showPolicy', { params }, 200);
  await call.ask(me, 'retirePolicy', { params, body: {} }, 200);

  const point = { id: 'gw1', channel: 'HTTPS', address: 'https://gw1', firstSeenAtMs: 1, lastSeenAtMs: 1 };
  await desk.store.policy.recordManagementPoints([point as never], lab.clock.now());
  await call.ask(me, 'listManagementPoints', {}, 200);
  const pipeline = await desk.site.pipeline({
    registration: { ways: ['token', 'approval'], pendingMax: 10 },
  });
  for (const id of ['approveClient', 'rejectClient']) {
    const waiting = await TestClient.unregistered(desk.site);
    await pipeline.processRegistration(await waiting.registration({ tokenHash: null }));
    expect((await call.ask(me, 'listPendingClients', {}, 200)).clients).toHaveLength(1);
    const at = { clientId: waiting.clientId, kid: waiting.key.kid };
    await call.ask(me, id, { params: at, ...(id === 'approveClient' ? { body: { tag: 'x' } } : {}) }, 204);
  }

  await call.ask(me, 'auditReport', { query: 'userType=end-user&result=Successful&limit=1' }, 200);
  await call.ask(me, 'coverageReport', {}, 200);
  const proposal = { title: 'Stolen van', machines: Array<string>(10_000).fill(pc.clientId), hours: 1 };
  const { incidentId } = await call.ask(me, 'proposeIncident', { body: proposal }, 200);
  await call.ask(me, 'confirmIncident', { params: { incidentId } }, 400);
  await call.ask(other, 'confirmIncident', { params: { incidentId } }, 200);
  await call.ask(me, 'listIncidents', {}, 200);
  await call.ask(me, 'endIncident', { params: { incidentId } }, 200);
  await call.ask(me, 'listAccounts', {}, 200);
  await call.ask(me, 'disableAccount', { body: { name: 'CORP\\other', disabled: true } }, 204);

  // Refusals of every kind stand in the document, too.
  await call.ask(other, 'showSession', {}, 401);
  await call.ask(me, 'discloseKey', { body: { keyId: newGuid(), reason: 'Lost PIN' } }, 404);
  await call.ask(me, 'discloseKey', { body: { keyId: key.keyId, reason: 'x'.repeat(70_000) } }, 413);
  await call.ask(me, 'discloseOwnKey', { body: { keyId: newGuid(), reason: 'BIOS/TPM changed' } }, 403);
  expect([...call.codes].sort()).toEqual([
    ...['AUTHENTICATION_REQUIRED', 'BODY_TOO_LARGE', 'CONFLICT', 'DISCLOSURE_REFUSED', 'NOT_FOUND'],
    ...['SIGN_IN_REFUSED', 'VALUE_INVALID'],
  ]);
  const all = call.operations().map(({ operationId }) => operationId);
  expect([...call.done].sort()).toEqual(all.sort());
  // Where the document says that a body may be left out, it may.
  const optional = call.operations().filter(({ requestBody }) => requestBody?.required === false);
  expect(optional.map(({ operationId }) => operationId)).toEqual(
    expect.arrayContaining(['deployPolicy', 'retirePolicy', 'pauseRing']),
  );
}, 120_000);
