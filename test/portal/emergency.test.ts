import { readFileSync } from 'node:fs';
import { URI, type TOTP } from 'otpauth';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { setUpBreakGlass } from '../../src/recovery/sign-in/break-glass.js';
import { findChromium, go, judge, LOOKS, startChromium, stopClock, tabTo } from './chromium.js';
import {
  keyOf,
  Machine,
  NOTICE,
  PASSWORD,
  passwordOf,
  PATIENT_MS,
  PortalLab,
  tellsKey,
  volume,
} from './portal-lab.js';

// The days that matter: break-glass with its second factor, files, paper, and what bounds self-service;
// in a real Chromium on a real site.

const chromium = findChromium();
if (chromium === null)
  console.warn('SKIPPED: emergencies in a browser. No Chromium here: apt-get install chromium');

const [DESKTOP, PHONE] = ['desktop, light', 'phone, dark'] as const;
const BOB = { domain: 'CORP', name: 'bob' };
const BREAK_GLASS = 'the envelope in the safe of the second floor';
const LONG = `PC-${'W'.repeat(60)}`;
const main = (page: Page): Promise<string> => page.locator('main').innerText();
const groups = async (page: Page): Promise<string> =>
  (await page.locator('[data-group]').allInnerTexts()).join('-');

describe.skipIf(chromium === null)('emergencies in Chromium', () => {
  let browser: Browser;
  let lab: PortalLab;
  const keyPackage = Buffer.from('what repair-bde needs, as bytes \u0000\u00ff', 'latin1');
  const ownerAuth = Buffer.alloc(20, 7);
  const drive = volume(undefined, { keyPackage });
  const long = { ...volume(), driveLabel: `D: ${'archive-of-everything-'.repeat(2)}` };

  beforeAll(async () => {
    browser = await startChromium(chromium!);
    lab = await PortalLab.start(browser, { MPE_RECOVERY_BREAK_GLASS: 'allowed' });
    const pc = await Machine.enrol(lab.site, 'PC-BOB', [BOB], [drive]);
    await pc.client.escrowTpm(ownerAuth);
    await pc.client.drain({ timeoutMs: 60_000 });
    await Machine.enrol(lab.site, LONG, [{ domain: 'CORP', name: 'lora' }], [long]);
  }, 300_000);
  afterEach(() => {
    expect(lab.errors).toEqual([]);
  });
  afterAll(async () => {
    await lab.stop();
    await browser.close();
  });

  test('what the content policy forbids would fail these tests', async () => {
    const context = await lab.visitor();
    const page = await context.newPage();
    await page.goto(lab.url('/'));
    await page.evaluate(`{
      const style = document.createElement('style');
      style.textContent = 'body { color: red }';
      document.head.append(style);
      document.body.setAttribute('style', 'color: red');
    }`);
    await expect.poll(() => lab.errors.length, { timeout: PATIENT_MS }).toBe(4);
    expect(lab.errors.splice(0).join(' ')).toMatch(/CSP style-src-elem inline.*CSP style-src-attr inline/);
    await context.close();
  });

  test('break-glass: nothing until it is armed, then password and second factor, once, with its audit row', async () => {
    const { people } = lab.site.store;
    const address = await setUpBreakGlass(people, BREAK_GLASS, Date.now(), { n: 1024, r: 8, p: 1 });
    const totp = URI.parse(address) as TOTP;
    const context = await lab.visitor(LOOKS[DESKTOP]);
    const page = await context.newPage();
    await page.goto(lab.url('/'));
    expect(await main(page)).not.toContain('Break-glass');

    await people.armBreakGlass(Date.now() + 3_600_000, 'the test');
    await page.goto(lab.url('/'));
    await judge(page, 'sign-in, break-glass armed', DESKTOP);
    const phone = await (await lab.visitor(LOOKS[PHONE])).newPage();
    // It is no way for those who look for their own key.
    await phone.goto(lab.url('/sign-in?portal=self-service'));
    expect(await main(phone)).not.toContain('Break-glass');
    await phone.goto(lab.url('/'));
    await judge(phone, 'sign-in, break-glass armed', PHONE);
    // By keyboard alone: whoever opens the envelope may have no mouse.
    await tabTo(page, page.getByLabel('Break-glass password'));
    await page.keyboard.type(BREAK_GLASS);
    await tabTo(page, page.getByLabel('Code of the second factor'));
    const code = totp.generate();
    await page.keyboard.type(code);
    await page.keyboard.press('Enter');
    await page.waitForURL(lab.url('/helpdesk'));
    expect(await page.locator('header').innerText()).toContain('Break-glass account');
    await judge(page, 'recovery, break-glass', DESKTOP);

    // The same code once more, and a wrong one.
    for (const again of [code, '12']) {
      await phone.getByLabel('Break-glass password').fill(BREAK_GLASS);
      await phone.getByLabel('Code of the second factor').fill(again);
      await go(phone, phone.getByRole('button', { name: 'Sign in by break-glass' }));
      expect(await main(phone)).toContain('You are not signed in');
    }
    await judge(phone, 'sign-in, break-glass refused', PHONE);

    await page.getByLabel('Recovery key ID').fill(keyOf(drive).slice(0, 8));
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    await page.getByLabel('Reason').selectOption('Lost PIN');
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    expect(await groups(page)).toBe(passwordOf(drive));
    await page.goto(lab.url('/reports/audit'));
    const report = await page.locator('table').innerText();
    expect(report).toMatch(/break-glass sign-in from (127\.0\.0\.1|::1)/);
    expect(report).toContain('break-glass sign-in: password or code wrong');
    await judge(page, 'audit, break-glass', DESKTOP);
    const rows = await lab.site.store.disclosure.searchAudit({}, 50);
    const own = rows.filter(
      ({ helpdeskUser, result }) => helpdeskUser === 'break-glass' && result === 'Successful',
    );
    expect(own.some(({ keyType }) => keyType === 'Recovery Key Password')).toBe(true);
    expect(
      JSON.stringify(rows, (_name, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    ).not.toContain(BREAK_GLASS);
    // Six digits stand in times, ids and hashes by chance.
    const texts = rows.map(
      ({ source, result, helpdeskUser, endUser, machine, keyType, reason, ticket, detail, actor }) =>
        [source, result, helpdeskUser, endUser, machine, keyType, reason, ticket, detail, actor].join('\n'),
    );
    expect(texts.join('\n')).not.toContain(code);
    await phone.context().close();
    await context.close();
  });

  test('TPM file and key package are saved as files with what the machine sent; refusals keep what was typed', async () => {
    const context = await lab.visitor(LOOKS[PHONE]);
    const page = await context.newPage();
    await lab.byProvider(page, '/helpdesk/tpm', 'CORP\\anna', 'Desk');
    const ask = async (machine: string, account: string): Promise<void> => {
      await page.getByLabel('Name of the machine').fill(machine);
      await page.getByLabel('Domain of the user').fill('CORP');
      await page.getByLabel('Account of the user').fill(account);
      await page.getByLabel('Reason').selectOption({ index: 1 });
      await page.getByRole('button', { name: 'Download the file' }).click();
    };
    await ask('PC-BOB', 'eve');
    await page.locator('.notice-bad').waitFor();
    expect(await page.getByLabel('Account of the user').inputValue()).toBe('eve');
    expect(await page.getByLabel('Name of the machine').inputValue()).toBe('PC-BOB');
    await judge(page, 'TPM refused', PHONE);
    const [file] = await Promise.all([page.waitForEvent('download'), ask('PC-BOB', 'bob')]);
    expect(file.suggestedFilename()).toBe('PC-BOB.tpm');
    const xml = readFileSync(await file.path(), 'utf8');
    expect(xml).toContain(`<ownerAuth>${ownerAuth.toString('base64')}</ownerAuth>`);
    expect(xml).toContain('machineName="PC-BOB"');

    await page.goto(lab.url('/helpdesk'));
    await page.getByLabel('Recovery key ID').fill(keyOf(drive));
    await page.getByLabel('Domain of the user').fill('CORP');
    await page.getByLabel('Account of the user').fill('bob');
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    await page.getByLabel('Reason').selectOption('Lost PIN');
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    const [saved] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download the key package' }).click(),
    ]);
    expect(readFileSync(await saved.path())).toEqual(keyPackage);
    expect((await lab.site.store.disclosure.searchAudit({}, 3)).map(({ keyType }) => keyType)).toContain(
      'Recovery Key Package',
    );
    await context.close();
  });

  test('paper has the key and its facts alone, on one page; long names stay within a phone', async () => {
    const context = await lab.visitor(LOOKS[PHONE]);
    const page = await context.newPage();
    await lab.byProvider(page, '/helpdesk', 'CORP\\chief', 'Desk Admins');
    await page.getByLabel('Recovery key ID').fill(keyOf(long));
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    expect(await main(page)).toContain(LONG);
    await judge(page, 'recovery, long names', PHONE);
    await page.getByLabel('Reason').selectOption('Lost PIN');
    await page.getByLabel('Ticket').fill(`INC-${'9'.repeat(90)}`);
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    await judge(page, 'recovery, key with long names', PHONE);
    await page.setViewportSize(LOOKS[DESKTOP].viewport);
    await page.emulateMedia({ media: 'print', colorScheme: 'light' });
    await judge(page, 'recovery, on paper', 'print');
    expect(await groups(page)).toBe(passwordOf(long));
    for (const unseen of ['nav', 'footer', 'button', '[data-watch]', 'textarea', '[data-hide-after]'])
      for (const one of await page.locator(unseen).all()) expect(await one.isVisible(), unseen).toBe(false);
    for (const seen of ['Key ID', 'Machine', 'Recorded'])
      expect(await page.getByText(seen, { exact: true }).isVisible()).toBe(true);
    // Not even the address of the page that “Follow it” leads to.
    const paper = await page.pdf({ format: 'A4' });
    expect(paper.toString('latin1').match(/\/Type\s*\/Page\b(?!s)/g)).toHaveLength(1);
    await context.close();
  });

  test('self-service: whose it is, the notice before anything else in each session, 8 digits or all 32', async () => {
    const context = await lab.visitor(LOOKS[DESKTOP]);
    const page = await context.newPage();
    await lab.byProvider(page, '/self-service', 'CORP\\bob');
    expect(await page.title()).toContain('Contoso IT');
    expect(await page.locator('.brand').innerText()).toBe('Contoso IT');
    const word = page.getByRole('link', { name: 'Call the helpdesk: 4242' });
    expect(await word.getAttribute('href')).toBe('https://help.example/');
    for (const line of NOTICE.split('\n\n')) expect(await main(page)).toContain(line);
    // Not ticked: nothing goes on, not even past the page.
    await page.getByRole('button', { name: 'Go on' }).click();
    expect(await page.getByLabel('I have read and accept this').isVisible()).toBe(true);
    const csrf = await page.locator('main input[name=csrf]').inputValue();
    const past = await page.evaluate(
      async (fields) => {
        const body = new URLSearchParams(fields);
        return (await fetch('/self-service/key', { method: 'POST', body })).text();
      },
      { csrf, digits: keyOf(drive), reason: 'Lost PIN/passphrase' },
    );
    expect(past).toContain('I have read and accept this');
    expect(tellsKey(past, drive)).toBe(false);
    await judge(page, 'self-service, notice', DESKTOP);
    await page.getByLabel('I have read and accept this').check();
    await go(page, page.getByRole('button', { name: 'Go on' }));
    for (const typed of [
      keyOf(drive).slice(0, 8),
      `{${keyOf(drive).toUpperCase()}}`,
      keyOf(drive).replaceAll('-', ''),
    ]) {
      await page.goto(lab.url('/self-service'));
      await page.getByLabel('Recovery key ID').fill(typed);
      await page.getByLabel('Why do you need it?').selectOption('BIOS/TPM changed');
      await go(page, page.getByRole('button', { name: 'Get my key' }));
      expect(await groups(page)).toBe(passwordOf(drive));
    }
    expect(await page.getByRole('button', { name: 'Download the key package' }).count()).toBe(0);
    await judge(page, 'self-service, key shown', DESKTOP);
    await context.close();
    // Another session is asked again; nobody's machines are a page of their own.
    const other = await lab.visitor(LOOKS[PHONE]);
    const next = await other.newPage();
    await lab.byProvider(next, '/self-service', 'CORP\\nobody');
    await next.getByLabel('I have read and accept this').check();
    await go(next, next.getByRole('button', { name: 'Go on' }));
    expect(await main(next)).toContain('No computer of yours is known here');
    await judge(next, 'self-service, no computer', PHONE);
    await other.close();
  });

  test('self-service: five minutes, counted down in the last one; Escape stays, a button leaves', async () => {
    const context = await lab.visitor(LOOKS[PHONE]);
    const page = await context.newPage();
    await stopClock(page);
    await lab.account('CORP\\bert', 'self-service-user');
    await page.goto(lab.url('/self-service'));
    await page.getByLabel('Account').fill('CORP\\bert');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await go(page, page.getByRole('button', { name: 'Sign in', exact: true }));
    await page.waitForURL(lab.url('/self-service'));
    const left = (): Promise<number> =>
      page.evaluate<number>(
        `fetch('/api/v1/session').then((answer) => answer.json()).then((session) => session.secondsLeft)`,
      );
    expect(await page.locator('#session').getAttribute('data-seconds')).toBe('300');
    expect(await left()).toBe(300);
    const dialog = page.getByRole('dialog', { name: 'Are you still there?' });
    await page.clock.fastForward(235_000);
    expect(await dialog.isVisible()).toBe(false);
    await page.clock.fastForward(15_000);
    await dialog.waitFor();
    const count = Number(await dialog.locator('.count').innerText());
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(60);
    await judge(page, 'self-service, session ends', PHONE);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect(page.url()).toBe(lab.url('/self-service'));
    await page.clock.fastForward(250_000);
    await dialog.waitFor();
    await dialog.getByRole('button', { name: 'Sign out now' }).click();
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await judge(page, 'signed out', PHONE);
    expect((await page.goto(lab.url('/self-service')))!.status()).toBe(401);
    await context.close();
  });

  test('every refusal of the helpdesk is a page that says what to do', async () => {
    const context = await lab.visitor(LOOKS[PHONE]);
    const page = await context.newPage();
    await lab.byProvider(page, '/helpdesk', 'CORP\\chief', 'Desk Admins');
    await page.getByLabel('Recovery key ID').fill(newGuid());
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    expect(await main(page)).toContain('No such key');
    await judge(page, 'recovery, no such key', PHONE);
    await page.getByLabel('Recovery key ID').fill('12');
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    expect(await main(page)).toContain('That is no recovery key ID');
    await page.getByLabel('Recovery key ID').fill(keyOf(drive));
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    const withoutRules = (): Promise<void> =>
      page.locator('main form').evaluate((form) => form.setAttribute('novalidate', ''));
    await withoutRules();
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    expect(await main(page)).toContain('The reason is missing');
    await judge(page, 'recovery, reason missing', PHONE);
    await go(page, page.getByRole('button', { name: 'Choose again' }));
    expect(await main(page)).toContain('One key found');
    await withoutRules();
    await page.locator('input[name=key]').evaluate((input) => input.setAttribute('value', 'none'));
    await page.getByLabel('Reason').selectOption('Lost PIN');
    await go(page, page.getByRole('button', { name: 'Show the recovery key' }));
    expect(await main(page)).toContain('No key was chosen');
    await judge(page, 'recovery, no key chosen', PHONE);
    // A form of a session that is over.
    await page.goto(lab.url('/helpdesk'));
    await page.locator('main input[name=csrf]').evaluate((input) => input.setAttribute('value', 'x'));
    await page.getByLabel('Recovery key ID').fill(keyOf(drive));
    await go(page, page.getByRole('button', { name: 'Find keys' }));
    expect(await main(page)).toContain('The form is out of date');
    await judge(page, 'error, form out of date', PHONE);
    await context.close();
  });
});
