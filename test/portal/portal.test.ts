import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, go, judge, LOOKS, startChromium, stopClock } from './chromium.js';
import {
  keyOf,
  Machine,
  PASSWORD,
  passwordOf,
  PATIENT_MS,
  PortalLab,
  tellsKey,
  volume,
} from './portal-lab.js';

// A real Chromium before the portals of a real site: gateway, worker, Redis, database, recovery service,
// an OpenID provider, and reference clients as machines.

const chromium = findChromium();
if (chromium === null)
  console.warn('SKIPPED: the portals in a browser. No Chromium here: apt-get install chromium');

const BOB = { domain: 'CORP', name: 'bob' };
const EVE = { domain: 'CORP', name: 'eve' };
const digits = (id: string): string => id.slice(0, 8).toUpperCase();
const main = (page: Page): Promise<string> => page.locator('main').innerText();

describe.skipIf(chromium === null)('portals in Chromium', () => {
  let browser: Browser;
  let lab: PortalLab;
  const drive = volume(undefined, { keyPackage: Buffer.from('a package') });
  const twins = [volume('abcdef01'), volume('abcdef01')] as const;
  const foreign = volume();
  let pc: Machine;

  beforeAll(async () => {
    browser = await startChromium(chromium!);
    lab = await PortalLab.start(browser);
    pc = await Machine.enrol(lab.site, 'PC-BOB', [BOB], [drive]);
    await Machine.enrol(lab.site, 'PC-BOB-2', [BOB], [...twins]);
    await Machine.enrol(lab.site, 'PC-EVE', [EVE], [foreign]);
  }, 300_000);
  afterAll(async () => {
    await lab.stop();
    await browser.close();
  });

  test('a helpdesk user finds a key by 8 digits, needs the user, shows it, and sees the machine replace it', async () => {
    const context = await lab.visitor(LOOKS['desktop, light']);
    const page = await context.newPage();
    // The key stays on the page until the machine has replaced it.
    await stopClock(page);
    await lab.byProvider(page, '/helpdesk', 'CORP\\anna', 'Desk');

    // Without the user: the browser would not even send it.
    await page.getByLabel('Recovery key ID').fill(digits(keyOf(drive)));
    await page.locator('main form').evaluate((form) => form.setAttribute('novalidate', ''));
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    expect(await main(page)).toContain('The user is missing');
    await judge(page, 'recovery, refused', 'desktop, light');

    // With a user who never signed in to that machine: nothing.
    await page.getByLabel('Domain of the user').fill('CORP');
    await page.getByLabel('Account of the user').fill('eve');
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    expect(await main(page)).toContain('No such key');

    await page.getByLabel('Account of the user').fill('bob');
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    expect(await main(page)).toContain('One key found');
    expect(await main(page)).toContain('CORP\\PC-BOB');
    expect(tellsKey(await page.content(), drive)).toBe(false);
    await judge(page, 'recovery, keys found', 'desktop, light');

    await page.getByLabel('Reason').selectOption('Lost PIN');
    await page.getByLabel('Ticket').fill('INC-7');
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    await page.getByRole('heading', { name: 'Recovery key', exact: true }).waitFor();
    const groups = await page.locator('[data-group]').allInnerTexts();
    expect(groups.join('-')).toBe(passwordOf(drive));

    // The group that was mistyped has a name.
    const typed = passwordOf(drive).split('-');
    typed[2] = String((Number(typed[2]) + 1) % 1_000_000).padStart(6, '0');
    await page.getByLabel('What the person typed').fill(typed.join('-'));
    await expect
      .poll(async () => page.locator('[data-typing-answer]').innerText(), { timeout: PATIENT_MS })
      .toBe('Group 3 is mistyped.');
    await page.getByText('How to say it').click();
    await judge(page, 'recovery, key shown', 'desktop, light');

    // The key package, as a file.
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download the key package' }).click();
    expect((await saved).suggestedFilename()).toBe(`BitLocker Key Package ${keyOf(drive).toUpperCase()}.KPG`);

    // The machine makes a new key, and the page says so by itself.
    expect(await page.locator('[data-rotation]').getAttribute('data-rotation')).toMatch(/REQUIRED|DELIVERED/);
    await pc.rotate();
    const completed = page.locator('[data-rotation="COMPLETED"]');
    let looks = 0;
    const isCompleted = async (): Promise<number> => {
      // It looks every four seconds, and needs a moment for each look.
      if (looks++ % 5 === 0) await page.clock.runFor(4_000);
      return completed.count();
    };
    await expect.poll(isCompleted, { timeout: PATIENT_MS, interval: 1_000 }).toBe(1);
    expect(await page.locator('[data-watch]').innerText()).toContain('COMPLETED');
    await judge(page, 'recovery, completed', 'desktop, light');
    await context.close();
  });

  test('a page hides the key when its time is over; more time is to be had before', async () => {
    const context = await lab.visitor(LOOKS['phone, dark']);
    const page = await context.newPage();
    await stopClock(page);
    await lab.byProvider(page, '/helpdesk', 'CORP\\chief', 'Desk Admins');
    await page.getByLabel('Recovery key ID').fill(keyOf(foreign));
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    await page.getByLabel('Reason').selectOption('Other');
    await page.getByLabel('In your words').fill('the mainboard was replaced');
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    await page.locator('[data-group="8"]').waitFor();
    await judge(page, 'recovery, key shown', 'phone, dark');
    await page.clock.fastForward(110_000);
    await page.getByRole('button', { name: 'Show it longer' }).click();
    await page.clock.fastForward(60_000);
    expect(await page.locator('[data-group]').count()).toBe(8);
    await page.clock.fastForward(70_000);
    await page.getByRole('heading', { name: 'The key is hidden' }).waitFor();
    expect(tellsKey(await page.content(), foreign)).toBe(false);
    await judge(page, 'recovery, key hidden', 'phone, dark');
    await context.close();
  });

  test('without script everything works: refusals, the key, the mistyped group, the state by a link', async () => {
    const context = await lab.visitor({ javaScriptEnabled: false });
    const page = await context.newPage();
    await lab.byProvider(page, '/helpdesk', 'CORP\\chief', 'Desk Admins');
    await page.getByLabel('Recovery key ID').fill(digits(keyOf(foreign)));
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    await page.getByLabel('Reason').selectOption('Lost PIN');
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    expect((await page.locator('[data-group]').allInnerTexts()).join('-')).toBe(passwordOf(foreign));
    expect(await page.locator('noscript').innerHTML()).toContain('/helpdesk/hidden?rotation=');
    await go(page, page.getByRole('link', { name: 'Follow it on a page of its own' }));
    expect(await main(page)).toContain('The key was shown');
    await page.goto(lab.url('/helpdesk/typing'));
    await page.getByLabel('What the person typed').fill(passwordOf(foreign).replace(/^\d{6}/, '000001'));
    await go(page, page.getByRole('button', { name: 'Find the mistyped group' }));
    expect(await main(page)).toContain('Group 1 is mistyped.');
    await context.close();
  });

  test('self-service: notice, own machines alone, all 32 digits where eight are not enough, the key', async () => {
    const context = await lab.visitor(LOOKS['phone, dark']);
    const page = await context.newPage();
    await lab.byProvider(page, '/self-service', 'CORP\\bob');
    await page.getByText('Each request is recorded.').waitFor();
    await judge(page, 'self-service, notice', 'phone, dark');
    await page.getByLabel('I have read and accept this').check();
    await go(page, page.getByRole('button', { name: 'Go on' }));
    await page.getByRole('heading', { name: 'Unlock your drive' }).waitFor();
    expect(await main(page)).toContain('PC-BOB-2');
    expect(await main(page)).not.toContain('PC-EVE');
    await judge(page, 'self-service', 'phone, dark');

    const ask = async (id: string): Promise<string> => {
      await page.getByLabel('Recovery key ID').fill(id);
      await page.getByLabel('Why do you need it?').selectOption('Lost PIN/passphrase');
      await go(page, page.getByRole('button', { name: 'Get my key' }));
      return main(page);
    };
    expect(await ask(digits(keyOf(foreign)))).toContain('Not a key of your computers');
    expect(await ask(keyOf(foreign))).toContain('Not a key of your computers');
    expect(await ask('12')).toContain('That was not understood');
    expect(await ask('abcdef01')).toContain('Type all 32 characters');
    await judge(page, 'self-service, ambiguous', 'phone, dark');
    await ask(keyOf(twins[1]));
    expect((await page.locator('[data-group]').allInnerTexts()).join('-')).toBe(passwordOf(twins[1]));
    await judge(page, 'self-service, key shown', 'phone, dark');
    // Nothing of the helpdesk opens.
    expect((await page.goto(lab.url('/helpdesk')))!.status()).toBe(403);
    await judge(page, 'error, forbidden', 'phone, dark');
    await context.close();
  });

  test('self-service warns a minute before the session ends, by keyboard too, then signs out', async () => {
    const context = await lab.visitor();
    const page = await context.newPage();
    await stopClock(page);
    await lab.byProvider(page, '/self-service', 'CORP\\bob');
    expect(await page.locator('dialog').isVisible()).toBe(false);
    await page.clock.fastForward(241_000);
    await page.getByRole('dialog', { name: 'Are you still there?' }).waitFor();
    await judge(page, 'self-service, session ends', 'desktop, light');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Stay signed in');
    await page.keyboard.press('Enter');
    await page.locator('dialog').waitFor({ state: 'hidden' });
    await page.clock.fastForward(301_000);
    await page.getByRole('heading', { name: 'Your session has ended' }).waitFor();
    await judge(page, 'session ended', 'desktop, light');
    // The session is gone, not the page alone.
    expect((await page.goto(lab.url('/self-service')))!.status()).toBe(401);
    await context.close();
  });

  test('self-service that is switched off says so with 403, before and after the sign-in, and leaves a row', async () => {
    const { selfService } = lab.site.config.recovery.service;
    const off = await lab.serviceWith({ selfService: { ...selfService, on: false } });
    await lab.account('CORP\\dora', 'self-service-user', 'auditor');
    const context = await lab.visitor(LOOKS['desktop, light']);
    const page = await context.newPage();
    const told = async (): Promise<void> => {
      expect((await page.goto(`${off.origin}/self-service`))!.status()).toBe(403);
      expect(await main(page)).toContain('Self-service is switched off');
      expect(await main(page)).toContain('Call the helpdesk: 4242');
    };
    await told();
    await judge(page, 'self-service, switched off', 'desktop, light');
    await page.goto(`${off.origin}/sign-in`);
    await page.getByLabel('Account').fill('CORP\\dora');
    await page.getByLabel('Password').fill(PASSWORD);
    await go(page, page.getByRole('button', { name: 'Sign in', exact: true }));
    await page.waitForURL(`${off.origin}/helpdesk`);
    await told();
    const status = await page.evaluate<number>(
      `fetch('/self-service/key', {
        method: 'POST',
        body: new URLSearchParams(new FormData(document.querySelector('form[action="/sign-out"]'))),
      }).then((answer) => answer.status)`,
    );
    expect(status).toBe(403);
    const rows = await lab.site.store.disclosure.searchAudit({}, 5);
    expect(rows[0]).toMatchObject({
      source: 'Self-Service Portal',
      result: 'Failed',
      detail: 'NOT_ALLOWED: own.disclose',
    });
    await context.close();
  });

  for (const [look, options] of Object.entries(LOOKS))
    test(`every page of the menus has no violation: ${look}`, async () => {
      const context = await lab.visitor(options);
      const page = await context.newPage();
      await page.goto(lab.url('/'));
      await judge(page, 'sign-in', look);
      await lab.byProvider(page, '/helpdesk', 'CORP\\root', 'Desk Admins', 'Operators', 'Auditors');
      for (const [name, path] of [
        ['recovery', '/helpdesk'],
        ['typing help', '/helpdesk/typing'],
        ['TPM', '/helpdesk/tpm'],
        ['audit', '/reports/audit'],
        ['coverage', '/reports/coverage'],
        ['rotations', '/administration/rotations?show=all'],
        ['policy', '/administration/policy'],
        ['clients', '/administration/clients'],
        ['management points', '/administration/management-points'],
        ['incidents', '/administration/incidents'],
        ['accounts', '/administration/accounts'],
      ] as const) {
        expect((await page.goto(lab.url(path)))!.status(), path).toBe(200);
        await judge(page, name, look);
      }
      expect((await page.goto(lab.url('/nowhere')))!.status()).toBe(404);
      await judge(page, 'error, no such page', look);
      await page.goto(lab.url('/helpdesk'));
      await go(page, page.getByRole('button', { name: 'Sign out' }));
      // On the way to the provider and back, perhaps.
      await expect
        .poll(async () => (await page.goto(lab.url('/helpdesk')))!.status(), { timeout: PATIENT_MS })
        .toBe(401);
      await context.close();
    });

  test('the audit report tells every step, refusals included, and so does its CSV', async () => {
    const context = await lab.visitor();
    const page = await context.newPage();
    await lab.byProvider(page, '/reports/audit', 'CORP\\carl', 'Auditors');
    const table = await page.locator('table').innerText();
    for (const word of [
      'CORP\\anna',
      'CORP\\bob',
      'INC-7',
      'Other: the mainboard was replaced',
      'USER_REQUIRED',
      'NOT_OWN_MACHINE',
      'AMBIGUOUS',
    ])
      expect(table).toContain(word);
    await page.getByLabel('Request result').selectOption('Failed');
    await go(page, page.getByRole('button', { name: 'Apply' }));
    const failed = await page.locator('tbody tr').allInnerTexts();
    expect(failed.length).toBeGreaterThanOrEqual(4);
    expect(failed.every((row) => row.includes('Failed'))).toBe(true);
    const saved = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download as CSV' }).click();
    expect((await saved).suggestedFilename()).toMatch(/^recovery-audit \d{4}-\d\d-\d\d\.csv$/);
    // An auditor shows no key.
    expect((await page.goto(lab.url('/helpdesk')))!.status()).toBe(403);
    await context.close();
  });

  test('no key stood in an address, nothing may be kept, no script failed', () => {
    expect(lab.seen.length).toBeGreaterThan(50);
    const secrets = [drive, foreign, ...twins].map((one) => passwordOf(one).slice(0, 13));
    for (const { url, cacheControl } of lab.seen) {
      expect(cacheControl, url).toBe('no-store');
      for (const secret of secrets) expect(url).not.toContain(secret);
    }
    expect(lab.errors).toEqual([]);
  });
});
