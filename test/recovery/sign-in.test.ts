import { createHash } from 'node:crypto';
import Database from 'better-sqlite3';
import { URI, type TOTP } from 'otpauth';
import { describe, expect, test } from 'vitest';
import { setUpBreakGlass } from '../../src/recovery/sign-in/break-glass.js';
import { BREAK_GLASS_SUBJECTS } from '../../src/recovery/sign-in/lock-out.js';
import { hashPassword, isPassword, openUnder, sealUnder } from '../../src/recovery/sign-in/password-hash.js';
import { CHEAP, PASSWORD, ServiceLab } from './service-lab.js';

const SESSION = '__Host-mpe-session';
const MINUTE_MS = 60_000;

describe('passwords', () => {
  test('are hashed with their parameters and a salt of their own, and compared', async () => {
    const [one, two] = [await hashPassword(PASSWORD, CHEAP), await hashPassword(PASSWORD, CHEAP)];
    expect(one).toMatch(/^scrypt\$1024,8,1\$/);
    expect(one).not.toBe(two);
    expect(await isPassword(PASSWORD, one)).toBe(true);
    expect(await isPassword(`${PASSWORD} `, one)).toBe(false);
    expect(await isPassword('', null)).toBe(false);
    // The hash of nobody is no hash of the empty password.
    expect(await isPassword('', `scrypt$1024,8,1$${'A'.repeat(22)}$${'A'.repeat(43)}`)).toBe(false);
    // Composed and decomposed letters are one password.
    expect(await isPassword('Pässword', await hashPassword('Pa\u0308ssword', CHEAP))).toBe(true);
  });

  test('seal a text that another password does not open', async () => {
    const sealed = await sealUnder(PASSWORD, 'factor', CHEAP);
    expect(sealed).not.toContain('factor');
    expect(await openUnder(PASSWORD, sealed)).toBe('factor');
    expect(await openUnder('another one', sealed)).toBeNull();
    const changed = sealed.endsWith('AA') ? 'BA' : 'AA';
    expect(await openUnder(PASSWORD, `${sealed.slice(0, -2)}${changed}`)).toBeNull();
  });
});

describe('a session', () => {
  test('comes in a cookie for this host alone; the database has its hash and no token', async () => {
    const lab = await ServiceLab.open();
    const browser = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const line = browser.setCookies.find((one) => one.startsWith(SESSION))!;
    expect(line).toMatch(/; Path=\/; HttpOnly; Secure; SameSite=Strict$/);
    expect(line).not.toMatch(/domain|max-age|expires/i);
    const token = browser.cookie(SESSION)!;
    const db = new Database(`${lab.desk.site.folder}/site.db`, { readonly: true });
    const [row] = db.prepare('SELECT * FROM MPE_Sessions').all() as { TokenHash: Buffer }[];
    db.close();
    expect(row!.TokenHash.equals(createHash('sha256').update(token).digest())).toBe(true);
    expect(JSON.stringify(lab.desk.site.lines)).not.toContain(token);
    const facts = (await browser.get('/api/v1/session')).json();
    expect(facts).toMatchObject({
      person: { name: 'CORP\\admin', roles: ['helpdesk-administrator'], signIn: 'local' },
      ...{ portal: 'helpdesk', warnSeconds: 60, noticeAccepted: false, csrf: browser.csrf },
    });
  });

  test('has a new id after each sign-in; one that was planted before is no session', async () => {
    const lab = await ServiceLab.open();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    const browser = lab.browser();
    const planted = 'A'.repeat(43);
    browser.setCookie(SESSION, planted);
    expect((await lab.signIn(browser, 'CORP\\admin')).status).toBe(200);
    const first = browser.cookie(SESSION)!;
    expect(first).not.toBe(planted);
    expect((await lab.signIn(browser, 'corp\\ADMIN')).status).toBe(200);
    expect(browser.cookie(SESSION)).not.toBe(first);
    // The one before ended with the sign-in.
    browser.setCookie(SESSION, first);
    expect((await browser.get('/api/v1/session')).status).toBe(401);
    browser.setCookie(SESSION, planted);
    expect((await browser.get('/api/v1/session')).status).toBe(401);
  });

  test('ends idle: after 15 minutes at the helpdesk, after 5 in self-service, and each request keeps it', async () => {
    const lab = await ServiceLab.open();
    lab.clock.stop();
    await lab.account('CORP\\anna', 'self-service-user');
    const desk = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const own = await lab.signedIn('CORP\\anna', 'self-service');
    expect((await own.get('/api/v1/session')).json().secondsLeft).toBe(300);
    lab.clock.movedMs += 4 * MINUTE_MS;
    expect((await own.get('/api/v1/session')).json().secondsLeft).toBe(300);
    lab.clock.movedMs += 5 * MINUTE_MS;
    expect((await own.get('/api/v1/session')).status).toBe(401);
    expect((await desk.get('/api/v1/session')).status).toBe(200);
    lab.clock.movedMs += 15 * MINUTE_MS;
    expect((await desk.get('/api/v1/session')).status).toBe(401);
    // Not by a clock that goes back either: the row is gone.
    lab.clock.movedMs = 0;
    expect((await desk.get('/api/v1/session')).status).toBe(401);
  });

  test('of somebody who has self-service alone ends after 5 minutes, whichever portal the form named', async () => {
    const lab = await ServiceLab.open();
    await lab.account('CORP\\anna', 'self-service-user');
    const own = await lab.signedIn('CORP\\anna', 'helpdesk');
    expect((await own.get('/api/v1/session')).json().portal).toBe('self-service');
    lab.clock.movedMs += 6 * MINUTE_MS;
    expect((await own.get('/api/v1/session')).status).toBe(401);
  });

  test('ends after 8 hours however busy it is', async () => {
    const lab = await ServiceLab.open();
    const desk = await lab.as('CORP\\admin', 'helpdesk-administrator');
    for (let n = 0; n < 47; n += 1) {
      lab.clock.movedMs += 10 * MINUTE_MS;
      expect((await desk.get('/api/v1/session')).status).toBe(200);
    }
    expect((await desk.get('/api/v1/session')).json().secondsLeft).toBeLessThanOrEqual(600);
    lab.clock.movedMs += 10 * MINUTE_MS;
    expect((await desk.get('/api/v1/session')).status).toBe(401);
  });

  test('ends at sign-out, when the account is disabled, and when it gets another password', async () => {
    const lab = await ServiceLab.open();
    const { people } = lab.desk.store;
    const one = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const two = await lab.signedIn('CORP\\admin');
    expect((await one.post('/api/v1/sign-out')).status).toBe(200);
    expect(one.cookie(SESSION)).toBeUndefined();
    expect((await two.get('/api/v1/session')).status).toBe(200);
    await people.changeAccount('CORP\\admin', { passwordHash: await hashPassword('another one', CHEAP) }, 1);
    expect((await two.get('/api/v1/session')).status).toBe(401);
    await people.changeAccount('CORP\\admin', { passwordHash: await hashPassword(PASSWORD, CHEAP) }, 1);
    const three = await lab.signedIn('CORP\\admin');
    await people.changeAccount('CORP\\admin', { disabled: true }, 1);
    expect((await three.get('/api/v1/session')).status).toBe(401);
    expect((await lab.signIn(lab.browser(), 'CORP\\admin')).status).toBe(401);
  });
});

describe('a request that changes something', () => {
  const search = { keyId: '00000000' };

  test('needs the session’s token and this origin; nothing else moves anything', async () => {
    const lab = await ServiceLab.open();
    const browser = await lab.as('CORP\\admin', 'helpdesk-administrator');
    const other = await lab.signedIn('CORP\\admin');
    const post = (headers: Record<string, string>): Promise<number> =>
      browser.post('/api/v1/keys/search', search, headers).then(({ status }) => status);
    expect(await post({})).toBe(200);
    expect(await post({ 'x-csrf-token': '' })).toBe(403);
    expect(await post({ 'x-csrf-token': `${browser.csrf.slice(0, -1)}_` })).toBe(403);
    expect(await post({ 'x-csrf-token': other.csrf })).toBe(403);
    expect(await post({ origin: 'https://evil.example' })).toBe(403);
    expect(await post({ origin: 'null' })).toBe(403);
    expect(await post({ origin: lab.service.origin.replace('https', 'http') })).toBe(403);
    expect(await post({ origin: '' })).toBe(403);
    expect(await post({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await post({ 'sec-fetch-site': 'same-site' })).toBe(403);
    // A form of another site cannot send JSON, and a form is not taken here.
    const form = await browser.form('/api/v1/keys/search', { ...search, csrf: browser.csrf });
    expect(form.status).toBe(415);
  });

  test('signs nobody in from another site', async () => {
    const lab = await ServiceLab.open();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    const fields = { name: 'CORP\\admin', password: PASSWORD, portal: 'helpdesk' };
    const evil = await lab.browser().form('/sign-in/local', fields, { origin: 'https://evil.example' });
    expect(evil.status).toBe(403);
    expect(evil.headers['set-cookie']).toBeUndefined();
    const browser = lab.browser();
    const fine = await browser.form('/sign-in/local', { ...fields, returnTo: '/helpdesk?x=1' });
    expect([fine.status, fine.headers.location]).toEqual([303, '/helpdesk?x=1']);
    for (const returnTo of ['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:1']) {
      const answer = await lab.browser().form('/sign-in/local', { ...fields, returnTo });
      expect([answer.status, answer.headers.location]).toEqual([303, '/helpdesk']);
    }
  });
});

describe('refused sign-ins', () => {
  test('make the next one wait longer and longer, for the account; its right password waits too', async () => {
    const lab = await ServiceLab.open();
    lab.clock.stop();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    await lab.account('CORP\\ben', 'helpdesk-administrator');
    const browser = lab.browser();
    const waits: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      const wait = (await lab.signIn(browser, 'corp\\Admin', 'wrong')).json().waitSeconds as number;
      waits.push(wait);
      if (wait === 0) continue;
      expect((await lab.signIn(browser, 'CORP\\admin')).json()).toMatchObject({
        status: 429,
        reason: 'LOCKED',
      });
      lab.clock.movedMs += wait * 1000;
    }
    expect(waits).toEqual([0, 0, 5, 10, 20, 40]);
    // The right password ends it, and counting begins anew. Somebody else was never kept out.
    expect((await lab.signIn(browser, 'CORP\\admin')).status).toBe(200);
    expect((await lab.signIn(browser, 'CORP\\admin', 'wrong')).json().waitSeconds).toBe(0);
    expect((await lab.signIn(lab.browser(), 'CORP\\ben')).status).toBe(200);
  });

  test('that come at once are no way past the wait: nobody tries a list of passwords in one go', async () => {
    const lab = await ServiceLab.open();
    lab.clock.stop();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    // At its real cost: two are hashed at a time, the others wait.
    const passwordHash = await hashPassword(PASSWORD);
    const { people } = lab.desk.store;
    await people.changeAccount('CORP\\admin', { passwordHash }, 1);
    // All are held between the first look at the count and the password, until the last one is there:
    // so none was counted before all had passed that look, and the right password is hashed last.
    const findAccount = people.findAccount.bind(people);
    let [passed, goOn]: [number, () => void] = [0, () => undefined];
    const all = new Promise<void>((resolve) => (goOn = resolve));
    const another = (): Promise<void> =>
      new Promise((resolve) => {
        people.findAccount = async (name) => {
          passed += 1;
          if (passed === guesses.length) goOn();
          resolve();
          await all;
          return findAccount(name);
        };
      });
    const guesses = [...Array.from({ length: 12 }, (_, n) => `guess number ${n}`), PASSWORD];
    const sent = [];
    for (const guess of guesses) {
      const isPast = another();
      sent.push(lab.signIn(lab.browser(), 'CORP\\admin', guess));
      await isPast;
    }
    const answers = await Promise.all(sent);
    expect(passed).toBe(guesses.length);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(0);
    // Whoever is told that the account waits learns nothing of the password.
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(1);
    expect(answers.at(-1)!.status).toBe(429);
  });

  test('are forgotten after a day: names that strangers make up do not fill the database', async () => {
    const lab = await ServiceLab.open();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    await lab.signIn(lab.browser(), 'CORP\\made-up', 'wrong');
    const known = () => lab.desk.store.people.readFailures(['account:corp\\made-up']);
    await lab.signedIn('CORP\\admin');
    expect(await known()).toHaveLength(1);
    lab.clock.movedMs += 25 * 60 * MINUTE_MS;
    await lab.signedIn('CORP\\admin');
    expect(await known()).toEqual([]);
  });

  test('look alike for a wrong password, an unknown name and a disabled account', async () => {
    const lab = await ServiceLab.open();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    await lab.account('CORP\\gone', 'helpdesk-administrator');
    await lab.desk.store.people.changeAccount('CORP\\gone', { disabled: true }, 1);
    const answers = [
      await lab.signIn(lab.browser(), 'CORP\\admin', 'wrong'),
      await lab.signIn(lab.browser(), 'CORP\\nobody', 'wrong'),
      await lab.signIn(lab.browser(), 'CORP\\gone', PASSWORD),
    ];
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(JSON.stringify(lab.desk.site.lines)).not.toContain('CORP\\\\nobody');
  });

  test('are counted for the address over all accounts', async () => {
    const lab = await ServiceLab.open();
    lab.clock.stop();
    await lab.account('CORP\\admin', 'helpdesk-administrator');
    const browser = lab.browser();
    for (let n = 0; n < 20; n += 1) await lab.signIn(browser, `CORP\\guess-${n}`, 'wrong');
    expect((await lab.signIn(browser, 'CORP\\admin')).json()).toMatchObject({
      reason: 'LOCKED',
      status: 429,
    });
  });
});

describe('break-glass', () => {
  const password = 'sealed envelope in the safe';

  test('is off, needs to be armed, needs password and code, each code once; audited, logged, and ends by itself', async () => {
    const lab = await ServiceLab.open({ MPE_RECOVERY_BREAK_GLASS: 'allowed' }, { oidc: true });
    lab.clock.stop();
    const { people } = lab.desk.store;
    lab.issuer!.down = true;
    const totp = URI.parse(await setUpBreakGlass(people, password, lab.clock.now(), CHEAP)) as TOTP;
    const code = (): string => totp.generate({ timestamp: lab.clock.now() });
    const wrongCode = ['000000', '111111', '222222', '333333'].find(
      (token) => totp.validate({ token, timestamp: lab.clock.now(), window: 1 }) === null,
    )!;
    const browser = lab.browser();
    const come = (given: string, breakGlassPassword = password) =>
      browser.post('/sign-in/break-glass', { breakGlassPassword, code: given });
    expect((await come(code())).json()).toMatchObject({ reason: 'NOT_ARMED' });
    await people.armBreakGlass(lab.clock.now() + 4 * 60 * MINUTE_MS, 'root');
    expect((await come(code(), 'wrong')).json()).toMatchObject({ reason: 'REFUSED' });
    expect((await come(wrongCode)).json()).toMatchObject({ reason: 'REFUSED' });
    const used = code();
    const answer = await come(used);
    expect(answer.json().person).toEqual({
      ...{ name: 'break-glass', roles: ['helpdesk-administrator'], signIn: 'break-glass' },
    });
    browser.csrf = answer.json().csrf;
    expect((await browser.post('/api/v1/keys/search', { keyId: '00000000' })).status).toBe(200);
    // The same code again, also by somebody who saw it.
    expect(
      (await lab.browser().post('/sign-in/break-glass', { breakGlassPassword: password, code: used })).json(),
    ).toMatchObject({ reason: 'REFUSED' });
    // Disarmed: the session ends with the next request.
    await people.armBreakGlass(null, 'root');
    expect((await browser.get('/api/v1/session')).status).toBe(401);
    const rows = (await lab.desk.rows()).filter(({ helpdeskUser }) => helpdeskUser === 'break-glass');
    expect(rows.map(({ result }) => result).filter((_, n) => n < 5)).toEqual([
      ...['Failed', 'Failed', 'Failed', 'Successful', 'Failed'],
    ]);
    const loud = lab.desk.site.lines.filter((line) => line['event'] === 'break_glass.signed_in');
    expect(loud).toMatchObject([{ level: 'error' }]);
    expect(JSON.stringify(lab.desk.site.lines)).not.toContain(password);
    // Arming ends by itself.
    await people.armBreakGlass(lab.clock.now() + 60 * MINUTE_MS, 'root');
    lab.clock.movedMs += 61 * MINUTE_MS;
    expect((await come(code())).json()).toMatchObject({ reason: 'NOT_ARMED' });
  });

  test('that is not armed fills no audit, however often a stranger tries, and is kept from nobody by that', async () => {
    const lab = await ServiceLab.open({ MPE_RECOVERY_BREAK_GLASS: 'allowed' });
    lab.clock.stop();
    const browser = lab.browser();
    const come = () => browser.post('/sign-in/break-glass', { breakGlassPassword: password, code: '000000' });
    const reasons: string[] = [];
    for (let n = 0; n < 24; n += 1) reasons.push((await come()).json().reason as string);
    expect(reasons.filter((reason) => reason === 'NOT_ARMED')).toHaveLength(20);
    expect(reasons.slice(20)).toEqual(Array(4).fill('LOCKED'));
    expect(await lab.desk.rows()).toHaveLength(20);
    // The address waits, the account does not.
    expect(await lab.desk.store.people.readFailures(Object.values(BREAK_GLASS_SUBJECTS))).toEqual([]);
  });

  test('is shut by no name that somebody types; no account of that name signs in', async () => {
    const lab = await ServiceLab.open({ MPE_RECOVERY_BREAK_GLASS: 'allowed' });
    lab.clock.stop();
    const { people } = lab.desk.store;
    const totp = URI.parse(await setUpBreakGlass(people, password, lab.clock.now(), CHEAP)) as TOTP;
    await people.armBreakGlass(lab.clock.now() + 60 * MINUTE_MS, 'root');
    await lab.account('Break-Glass', 'helpdesk-administrator');
    for (const name of ['break-glass', 'Break-Glass', ' break-glass', 'break-glass:form', 'break-glass'])
      expect((await lab.signIn(lab.browser(), name)).status).not.toBe(200);
    expect(await people.readFailures(Object.values(BREAK_GLASS_SUBJECTS))).toEqual([]);
    const code = totp.generate({ timestamp: lab.clock.now() });
    const come = { breakGlassPassword: password, code };
    expect((await lab.browser().post('/sign-in/break-glass', come)).status).toBe(200);
  });

  test('lets nobody in where the audit cannot be written, or where it is not allowed', async () => {
    const lab = await ServiceLab.open({ MPE_RECOVERY_BREAK_GLASS: 'allowed' });
    lab.clock.stop();
    const { people } = lab.desk.store;
    const totp = URI.parse(await setUpBreakGlass(people, password, lab.clock.now(), CHEAP)) as TOTP;
    await people.armBreakGlass(lab.clock.now() + 60 * MINUTE_MS, 'root');
    const db = new Database(`${lab.desk.site.folder}/site.db`);
    db.exec("CREATE TRIGGER NoAudit BEFORE INSERT ON MPE_Audit BEGIN SELECT RAISE(ABORT, 'no'); END");
    db.close();
    const code = totp.generate({ timestamp: lab.clock.now() });
    const browser = lab.browser();
    const answer = await browser.post('/sign-in/break-glass', { breakGlassPassword: password, code });
    expect(answer.status).toBe(503);
    expect(browser.cookie(SESSION)).toBeUndefined();

    const off = await ServiceLab.open();
    const refused = await off.browser().post('/sign-in/break-glass', { breakGlassPassword: password, code });
    expect(refused.json()).toMatchObject({ reason: 'OFF' });
  });
});
