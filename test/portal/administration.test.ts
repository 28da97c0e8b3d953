import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MemoryStateStore, MpeClient, type EnrolOptions } from '../../src/client/index.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { findChromium, go, judge, LOOKS, startChromium, tabTo } from './chromium.js';
import { keyOf, Machine, PASSWORD, PortalLab, volume } from './portal-lab.js';

// Every form of the administration in a real Chromium, on a real site; each refusal as people see it.

const chromium = findChromium();
if (chromium === null)
  console.warn('SKIPPED: administration in a browser. No Chromium here: apt-get install chromium');

const [DESKTOP, PHONE] = ['desktop, light', 'phone, dark'] as const;
const main = (page: Page): Promise<string> => page.locator('main').innerText();
const outcome = (page: Page): Promise<string> => page.locator('.outcome').innerText();

describe.skipIf(chromium === null)('administration in Chromium', () => {
  let browser: Browser;
  let lab: PortalLab;
  const [driveA, driveB] = [volume(), volume()];
  let pcA: Machine;
  let pcB: Machine;

  beforeAll(async () => {
    browser = await startChromium(chromium!);
    lab = await PortalLab.start(browser, { MPE_REGISTRATION: 'token,approval' });
    pcA = await Machine.enrol(lab.site, 'PC-A', [], [driveA]);
    pcB = await Machine.enrol(lab.site, 'PC-B', [], [driveB]);
    await lab.site.store.policy.setClientTag(pcA.client.clientId, 'pilot');
  }, 300_000);
  afterEach(() => {
    expect(lab.errors).toEqual([]);
  });
  afterAll(async () => {
    await lab.stop();
    await browser.close();
  });

  /** Somebody who is signed in, at a page. */
  async function open(
    path: string,
    name: string,
    groups: readonly string[],
    options: BrowserContextOptions = LOOKS[DESKTOP],
  ): Promise<Page> {
    const page = await (await lab.visitor(options)).newPage();
    await lab.byProvider(page, path, name, ...groups);
    return page;
  }
  /** What the audit says of changes, the oldest first. */
  async function reasons(by: string): Promise<string[]> {
    const rows = await lab.site.store.disclosure.searchAudit({}, 200);
    return rows
      .filter(({ helpdeskUser }) => helpdeskUser === by)
      .map(({ reason, source }) => `${source}: ${reason}`)
      .reverse();
  }
  async function withoutRules(page: Page): Promise<void> {
    await page
      .locator('main form')
      .evaluateAll((forms) => forms.forEach((form) => form.setAttribute('novalidate', '')));
  }

  test('a policy is made and deployed, its rings are opened, paused and resumed, by keyboard alone', async () => {
    const page = await open('/administration/policy', 'CORP\\opal', ['Operators']);
    const press = async (key: string): Promise<void> => page.keyboard.press(key);
    const submit = async (name: string): Promise<void> => {
      await tabTo(page, page.getByRole('button', { name }).first());
      await go(page, () => press('Enter'));
    };
    await tabTo(page, page.locator('summary', { hasText: 'Make a policy' }));
    await press('Enter');
    await tabTo(page, page.getByLabel('Name', { exact: true }));
    await page.keyboard.type('North');
    await tabTo(page, page.getByLabel('Mode'));
    await page.keyboard.type('Manage');
    await tabTo(page, page.getByLabel('Tags of the rings'));
    await page.keyboard.type('pilot\nbroad');
    await tabTo(page, page.getByLabel('TPM passwords'));
    await press('Space');
    await submit('Save the draft');
    expect(await outcome(page)).toContain('It applies to no machine until it is deployed');
    expect(await main(page)).toContain('made');
    const [north] = (await lab.site.store.readPolicies()).filter(({ name }) => name === 'North');
    expect(north).toMatchObject({
      mode: 'MANAGE',
      tpmOwnerAuth: false,
      removableDrives: true,
      state: 'DRAFT',
    });
    await judge(page, 'policy, draft', DESKTOP);

    // No ring of a draft opens, and the page says why.
    await tabTo(page, page.getByRole('link', { name: 'Policy and rings' }).last());
    await go(page, () => press('Enter'));
    expect(await main(page)).toContain('The policy is a draft: deploy it before a ring opens.');
    await judge(page, 'rings of a draft', DESKTOP);
    await tabTo(page, page.getByRole('link', { name: 'North' }));
    await go(page, () => press('Enter'));
    await submit('Deploy it');
    expect(await outcome(page)).toContain('The policy is deployed');
    expect(await main(page)).toContain('It applies');

    await page.goto(lab.url('/administration/policy'));
    expect(await main(page)).toContain('Rings open in their order: ring 1 first.');
    await submit('Open North, ring 1');
    expect(await outcome(page)).toBe('The ring is open.');
    // Somebody else still has the page of before the pause.
    const stale = await open('/administration/policy', 'CORP\\odin', ['Operators']);
    await tabTo(page, page.locator('summary', { hasText: 'Pause' }));
    await press('Enter');
    await tabTo(page, page.getByLabel('Why'));
    await page.keyboard.type('the printers fail');
    await submit('Pause it now');
    expect(await outcome(page)).toContain('The ring is paused');
    expect(await main(page)).toContain('the printers fail');
    expect(await main(page)).toContain('Ring 1 is paused: nothing opens behind it.');
    await judge(page, 'ring paused', DESKTOP);

    const answer = stale.waitForResponse((response) => response.request().method() === 'POST');
    await go(stale, stale.getByRole('button', { name: 'Open North, ring 2' }));
    expect((await answer).status()).toBe(400);
    expect(await outcome(stale)).toContain('Ring 1 (pilot) before it is paused: rings open in their order.');
    await judge(stale, 'ring refused', DESKTOP);

    await submit('Resume North, ring 1');
    expect(await outcome(page)).toContain('The ring goes on');
    await submit('Open North, ring 2');
    await judge(page, 'rings open', DESKTOP);
    expect(await reasons('CORP\\opal')).toEqual([
      'Helpdesk: Policy created',
      'Helpdesk: Policy deployed',
      'Helpdesk: Ring opened',
      'Helpdesk: Ring paused',
      'Helpdesk: Ring resumed',
      'Helpdesk: Ring opened',
    ]);
    // What was refused changed nothing.
    expect(await reasons('CORP\\odin')).toEqual([]);
    await page.context().close();
    await stale.context().close();
  }, 300_000);

  test('who may only look sees no control, and neither role nor another page’s form gets through', async () => {
    const { store } = lab.site;
    const rings = async (): Promise<unknown> => (await store.readPolicies()).map((policy) => policy.rings);
    const before = await rings();
    const { policyId } = (await store.readPolicies()).find(({ name }) => name === 'North')!;
    const send = (page: Page, csrf: string): Promise<number> =>
      page.evaluate(
        async ([token, ring]) => {
          const body = new URLSearchParams({ csrf: token, ring, change: 'PAUSE' });
          return (await fetch('/administration/rings', { method: 'POST', body })).status;
        },
        [csrf, `${policyId}.1`] as const,
      );
    const auditor = await open('/administration/policy', 'CORP\\carl', ['Auditors']);
    expect(await main(auditor)).toContain('Ring 1: pilot');
    expect(await auditor.locator('main form').count()).toBe(0);
    const csrf = await auditor.locator('input[name=csrf]').first().inputValue();
    expect(await send(auditor, csrf)).toBe(403);
    const operator = await open('/administration/policy', 'CORP\\opal', ['Operators']);
    // The token of somebody else, and none.
    expect(await send(operator, csrf)).toBe(403);
    expect(await send(operator, '')).toBe(403);
    expect(await rings()).toEqual(before);
    await auditor.context().close();
    await operator.context().close();
  });

  test('what a policy cannot be is said field by field, on a phone, and nothing typed is lost', async () => {
    const page = await open('/administration/policy', 'CORP\\opal', ['Operators'], LOOKS[PHONE]);
    await page.getByText('Make a policy').click();
    await withoutRules(page);
    await page.getByLabel('Name', { exact: true }).fill('n'.repeat(120));
    await page.getByLabel('Tag of its machines').fill('south');
    await page.getByLabel('Minutes between checks').fill('0');
    await page.getByLabel('Tags of the rings').fill('one two\nnot:a:tag');
    await go(page, page.getByRole('button', { name: 'Save the draft' }));
    const told = await outcome(page);
    expect(told).toContain('That was not done');
    expect(told).toContain('Minutes between checks:');
    expect(told).toContain('Ring 3, tag: must have 1 to 64 of A-Z a-z 0-9 . _ -');
    expect(await page.getByLabel('Minutes between checks').getAttribute('aria-invalid')).toBe('true');
    expect(await page.getByLabel('Tags of the rings').inputValue()).toBe('one two\nnot:a:tag');
    await judge(page, 'policy refused', PHONE);
    // One by one they are right now; together they are not.
    await withoutRules(page);
    await page.getByLabel('Minutes between checks').fill('30');
    await page.getByLabel('Tags of the rings').fill('one two');
    await go(page, page.getByRole('button', { name: 'Save the draft' }));
    expect(await outcome(page)).toContain('leave the one tag away');
    await page.getByLabel('Tag of its machines').fill('');
    await go(page, page.getByRole('button', { name: 'Save the draft' }));
    expect(await outcome(page)).toContain('The draft is saved');
    expect(await main(page)).toContain('A check interval below 60 minutes');
    await judge(page, 'policy, a long name', PHONE);

    // Two at once: the second one is told, and undoes nothing.
    const other = await open(new URL(page.url()).pathname, 'CORP\\odin', ['Operators'], LOOKS[PHONE]);
    await other.getByText('Change it').click();
    await other.getByLabel('Minutes between checks').fill('240');
    await go(other, other.getByRole('button', { name: 'Save the change' }));
    expect(await outcome(other)).toContain('The policy is changed');
    await page.getByText('Change it').click();
    await page.getByLabel('Minutes between checks').fill('480');
    await go(page, page.getByRole('button', { name: 'Save the change' }));
    expect(await outcome(page)).toContain('Somebody else was first');
    expect(await page.getByLabel('Minutes between checks').inputValue()).toBe('240');
    await judge(page, 'policy, somebody else was first', PHONE);

    await page.getByText('Retire it').click();
    await withoutRules(page);
    await go(page, page.getByRole('button', { name: 'Retire for good' }));
    expect(await outcome(page)).toContain('tick that you mean it');
    await page.getByText('Retire it').click();
    await page.getByLabel('I mean to end this policy for good').check();
    await go(page, page.getByRole('button', { name: 'Retire for good' }));
    expect(await outcome(page)).toContain('The policy is retired');
    expect(await page.locator('main form').count()).toBe(0);
    await judge(page, 'policy retired', PHONE);
    expect((await page.goto(lab.url(`/administration/policy/${newGuid()}`)))!.status()).toBe(404);
    expect((await page.goto(lab.url('/administration/policy/north')))!.status()).toBe(404);
    await page.context().close();
    await other.context().close();
  });

  test('pending clients are approved and rejected, with a warning where an id has a key already', async () => {
    const asking = (machineName: string, clientId: Guid): EnrolOptions & { state: MemoryStateStore } => ({
      ...{ url: lab.site.url, enrolmentToken: lab.site.enrolmentToken, state: new MemoryStateStore() },
      ...{ machine: { machineName, domain: 'CORP' }, clientId, waitSeconds: 1, registrationTimeoutMs: 1500 },
      backoff: { baseMs: 20, capMs: 200 },
    });
    const long = `PC-${'W'.repeat(57)}`;
    const [a, b] = [asking(long, pcA.client.clientId), asking('PC-STRANGE', pcB.client.clientId)];
    // Nobody answers them yet; on a busy machine the first tries may not even have come through.
    for (const one of [a, b]) {
      const isPending = async (): Promise<boolean> =>
        (await lab.site.store.readPendingRegistrations(10)).some(({ clientId }) => clientId === one.clientId);
      while (!(await isPending())) await expect(MpeClient.enrol(one)).rejects.toThrow();
    }
    // Behind their last tries in the queue: none comes when somebody has decided.
    await pcB.checkIn();
    const page = await open('/administration/clients', 'CORP\\opal', ['Operators'], LOOKS[PHONE]);
    expect(await main(page)).toContain('A new key of a client that is registered, epoch 1.');
    await judge(page, 'clients that wait', PHONE);

    const strange = page.getByRole('region', { name: 'PC-STRANGE' });
    await strange.getByLabel('Tag').fill('not a tag');
    await go(page, strange.getByRole('button', { name: 'Approve' }));
    expect(await outcome(page)).toContain('A tag has at most 64 of A-Z a-z 0-9 . _ -');
    await judge(page, 'clients, refused', PHONE);
    const stale = await open('/administration/clients', 'CORP\\odin', ['Operators'], LOOKS[PHONE]);
    await go(page, page.getByRole('region', { name: 'PC-STRANGE' }).getByRole('button', { name: 'Reject' }));
    expect(await outcome(page)).toContain('The registration is dropped');
    await go(
      stale,
      stale.getByRole('region', { name: 'PC-STRANGE' }).getByRole('button', { name: 'Approve' }),
    );
    expect(await outcome(stale)).toContain('Nothing waits for this client and key: somebody else was first');
    await go(page, page.getByRole('button', { name: `Approve ${long}` }));
    expect(await outcome(page)).toContain('The machine is registered');
    expect(await main(page)).toContain('No machine waits.');
    await judge(page, 'clients, nobody waits', PHONE);
    // The machine itself is let in now.
    const client = await MpeClient.enrol({ ...a, registrationTimeoutMs: 60_000 });
    expect(client.clientId).toBe(pcA.client.clientId);
    expect((await reasons('CORP\\opal')).slice(-2)).toEqual([
      'Helpdesk: Client rejected',
      'Helpdesk: Client approved',
    ]);
    expect((await reasons('CORP\\odin')).filter((reason) => reason.includes('Client'))).toEqual([]);
    await page.context().close();
    await stale.context().close();
  });

  test('rotations are asked for and given up; each mistake is named beside its field', async () => {
    const page = await open('/administration/rotations', 'CORP\\opal', ['Operators']);
    expect(await main(page)).toContain('No key waits to be replaced.');
    await withoutRules(page);
    await page.getByLabel('Ids').fill('12 34');
    await page.getByLabel('Within days').fill('0');
    await go(page, page.getByRole('button', { name: 'Request' }));
    expect(await outcome(page)).toContain('Ids: 2 of them are no id');
    expect(await outcome(page)).toContain('Within days: a whole number from 1 to 365.');
    expect(await outcome(page)).toContain('Tick that you mean');
    expect(await page.getByLabel('Ids').inputValue()).toBe('12 34');
    await judge(page, 'rotations refused', DESKTOP);

    const ask = async (ids: string): Promise<string> => {
      await page.getByLabel('Ids').fill(ids);
      await page.getByLabel('Within days').fill('7');
      await page.getByLabel('I mean to have these keys replaced').check();
      await go(page, page.getByRole('button', { name: 'Request' }));
      return outcome(page);
    };
    expect(await ask(newGuid())).toContain('Nothing is to be replaced');
    expect(await ask(pcB.client.clientId)).toContain('The keys are asked for');
    await page.getByLabel('What').selectOption('volume');
    expect(await ask(driveA.volumeId)).toContain('The keys are asked for');
    expect(await main(page)).toContain('PC-B');
    await judge(page, 'rotations open', DESKTOP);

    const row = page.getByRole('row', { name: 'PC-B' });
    await row.locator('summary').click();
    await withoutRules(page);
    await go(page, row.getByRole('button', { name: 'Give it up' }));
    expect(await outcome(page)).toContain('Say why you give the rotation up');
    await row.locator('summary').click();
    await row.getByLabel('Why').fill('the machine was sold');
    await judge(page, 'rotations, giving up', DESKTOP);
    await go(page, row.getByRole('button', { name: 'Give it up' }));
    expect(await outcome(page)).toContain('Its key stays exposed');
    await page.getByLabel('Show').selectOption('all');
    await go(page, page.getByRole('button', { name: 'Apply' }));
    expect(await page.getByRole('row', { name: 'PC-B' }).innerText()).toContain('the machine was sold');
    expect((await reasons('CORP\\opal')).slice(-3)).toEqual([
      'Helpdesk: Rotation requested',
      'Helpdesk: Rotation requested',
      'Helpdesk: Rotation abandoned: the machine was sold',
    ]);
    await page.context().close();

    const phone = await open('/administration/rotations?show=all', 'CORP\\opal', ['Operators'], LOOKS[PHONE]);
    await judge(phone, 'rotations open', PHONE);
    expect(await main(phone)).toContain(keyOf(driveA).slice(0, 8).toUpperCase());
    await phone.context().close();
  });

  test('management points, incidents by two persons, and accounts', async () => {
    await lab.account('CORP\\dora', 'report-user');
    const page = await open('/administration/management-points', 'CORP\\opal', ['Operators'], LOOKS[PHONE]);
    expect(await main(page)).toContain('Enhanced HTTP');
    await judge(page, 'management points', PHONE);

    await page.goto(lab.url('/administration/incidents'));
    await page.getByLabel('What happened').fill('A driver update asks for keys');
    await page.getByLabel('Machines').fill('PC-B\nPC-NOWHERE');
    await go(page, page.getByRole('button', { name: 'Propose' }));
    expect(await outcome(page)).toContain('PC-NOWHERE');
    expect(await page.getByLabel('Machines').inputValue()).toBe('PC-B\nPC-NOWHERE');
    await judge(page, 'incident refused', PHONE);
    await page.getByLabel('Machines').fill('PC-B');
    await go(page, page.getByRole('button', { name: 'Propose' }));
    expect(await outcome(page)).toContain('A second person confirms it');
    expect(await main(page)).toContain('waits for a second person');
    const second = await open('/administration/incidents', 'CORP\\odin', ['Operators']);
    await go(second, second.getByRole('button', { name: 'Confirm' }));
    expect(await outcome(second)).toBe('The incident is open.');
    await judge(second, 'incident open', DESKTOP);
    await page.goto(lab.url('/administration/incidents'));
    await go(page, page.getByRole('button', { name: 'End' }));
    expect(await outcome(page)).toContain('The incident is over');
    // Ended by the other one meanwhile.
    await go(second, second.getByRole('button', { name: 'End' }));
    expect(await outcome(second)).toContain('is over already');

    await page.goto(lab.url('/administration/accounts'));
    await go(page, page.getByRole('button', { name: 'Disable CORP\\dora' }));
    expect(await outcome(page)).toContain('The account is disabled');
    await judge(page, 'accounts', PHONE);
    const context = await lab.visitor(LOOKS[PHONE]);
    const dora = await context.newPage();
    await dora.goto(lab.url('/'));
    await dora.getByLabel('Account').fill('CORP\\dora');
    await dora.getByLabel('Password').fill(PASSWORD);
    await go(dora, dora.getByRole('button', { name: 'Sign in', exact: true }));
    expect(await main(dora)).toContain('You are not signed in');
    await judge(dora, 'sign-in refused', PHONE);
    await go(page, page.getByRole('button', { name: 'Enable CORP\\dora' }));
    expect(await outcome(page)).toContain('The account may sign in again');
    for (const one of [page, second]) await one.context().close();
    await context.close();
  });
});
