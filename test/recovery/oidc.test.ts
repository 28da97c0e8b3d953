import { describe, expect, test } from 'vitest';
import type { RecoveryServiceSettings } from '../../src/config/index.js';
import { groupsOf, nameOf, rolesOfGroups } from '../../src/recovery/sign-in/groups.js';
import { Sessions } from '../../src/recovery/sign-in/sessions.js';
import type { Answer, Browser } from './browser.js';
import { PASSWORD, ServiceLab } from './service-lab.js';

const STATE = '__Host-mpe-sign-in';

/** The address that the provider sends the browser back to, not yet followed. */
async function atProvider(browser: Browser, portal = 'helpdesk'): Promise<string> {
  const begun = await browser.form('/sign-in/oidc', { portal, returnTo: '/helpdesk' });
  expect(begun.status).toBe(303);
  let at: Answer = begun;
  for (let n = 0; n < 10; n += 1) {
    const next = new URL(at.headers.location ?? '', at.url).href;
    if (next.startsWith(`${browser.origin}/sign-in/callback`)) return next;
    at = await browser.get(next);
  }
  throw new Error(`the provider does not send back: ${at.status} ${at.text.slice(0, 300)}`);
}

const lab = (): Promise<ServiceLab> => ServiceLab.open({}, { oidc: true });

describe('OpenID Connect', () => {
  test('signs in by code, PKCE, state and nonce; groups give the roles; the cookie is Strict behind a page of ours', async () => {
    const { issuer, ...rest } = await lab().then((one) => ({ issuer: one.issuer!, one }));
    const browser = rest.one.browser();
    issuer.signsIn = { name: 'CORP\\anna', groups: ['Desk Admins', 'Others'] };
    const begun = await browser.form('/sign-in/oidc', { portal: 'helpdesk', returnTo: '/helpdesk?a=1&b=2' });
    const url = new URL(begun.headers.location!);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      ...{ response_type: 'code', code_challenge_method: 'S256', client_id: 'mpe-portal' },
      ...{ redirect_uri: `${browser.origin}/sign-in/callback`, scope: 'openid profile email' },
      ...{ state: expect.stringMatching(/^.{20,}$/), nonce: expect.stringMatching(/^.{20,}$/) },
    });
    expect(browser.setCookies.at(-1)).toMatch(/; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    const answer = await browser.follow(begun);
    expect(answer.status).toBe(200);
    expect(answer.text).toContain('content="0;url=/helpdesk?a=1&amp;b=2"');
    expect(browser.cookie(STATE)).toBeUndefined();
    expect(browser.setCookies.find((line) => line.startsWith('__Host-mpe-session'))).toMatch(
      /SameSite=Strict/,
    );
    const session = (await browser.get('/api/v1/session')).json();
    expect(session.person).toEqual({
      name: 'CORP\\anna',
      roles: ['helpdesk-administrator', 'self-service-user'],
      signIn: 'oidc',
    });
    // Signing out leads on to the provider's own.
    browser.csrf = session.csrf;
    const out = (await browser.post('/api/v1/sign-out')).json();
    expect(out.location).toMatch(new RegExp(`^${issuer.url}/session/end\\?.*post_logout_redirect_uri=`));
    expect((await browser.get('/api/v1/session')).status).toBe(401);
  });

  test('takes no answer with another state, another issuer, a code again, or from another browser', async () => {
    const one = await lab();
    const attempt = async (change: (url: URL, browser: Browser) => void): Promise<Browser> => {
      const browser = one.browser();
      const url = new URL(await atProvider(browser));
      change(url, browser);
      const answer = await browser.get(url.href);
      expect(answer.text).toContain('problem=PROVIDER_REFUSED');
      return browser;
    };
    const refused = [
      await attempt((url) => url.searchParams.set('state', 'another')),
      await attempt((url) => url.searchParams.delete('state')),
      await attempt((url) => url.searchParams.set('iss', 'https://evil.example')),
      await attempt((url) => url.searchParams.delete('iss')),
      await attempt((url) => url.searchParams.set('code', 'another')),
      await attempt((_url, browser) => browser.setCookie(STATE, 'e30')),
      // Another nonce or verifier than the one that the provider was given.
      await attempt((_url, browser) => change(browser, { nonce: 'another' })),
      await attempt((_url, browser) => change(browser, { verifier: 'A'.repeat(43) })),
    ];
    for (const browser of refused) expect(browser.cookie('__Host-mpe-session')).toBeUndefined();
    const browser = one.browser();
    const url = await atProvider(browser);
    const state = browser.cookie(STATE)!;
    expect((await browser.get(url)).text).toContain('0;url=/self-service');
    const again = one.browser();
    again.setCookie(STATE, state);
    expect((await again.get(url)).text).toContain('problem=PROVIDER_REFUSED');
  });

  test('says that the provider is away, with the event id that alarms know; local accounts go on', async () => {
    const one = await lab();
    one.issuer!.down = true;
    const answer = await one.browser().form('/sign-in/oidc', { portal: 'helpdesk', returnTo: '' });
    expect(answer.headers.location).toMatch(/^\/sign-in\?portal=helpdesk&problem=PROVIDER_AWAY/);
    expect(one.desk.site.lines.filter((line) => line['mbamEventId'] === 108)).toHaveLength(1);
    await one.as('CORP\\local', 'operator');
  });

  test('leads who has self-service alone there, whichever portal was asked for', async () => {
    const one = await lab();
    one.issuer!.signsIn = { name: 'CORP\\anna', groups: [] };
    const browser = one.browser();
    const answer = await browser.get(await atProvider(browser));
    expect(answer.text).toContain('content="0;url=/self-service"');
    await one.account('CORP\\ben', 'self-service-user');
    const local = { name: 'CORP\\ben', password: PASSWORD, portal: 'helpdesk', returnTo: '/helpdesk' };
    expect((await one.browser().form('/sign-in/local', local)).headers.location).toBe('/self-service');
  });

  test('counts for a bounded time: then the provider is asked again, and who left a group has its role no more', async () => {
    const one = await ServiceLab.open(
      { MPE_RECOVERY_OIDC_MINUTES: '30', MPE_RECOVERY_SESSION_MINUTES: '60' },
      { oidc: true },
    );
    one.clock.stop();
    const issuer = one.issuer!;
    issuer.signsIn = { name: 'CORP\\anna', groups: ['Desk Admins'] };
    const browser = one.browser();
    await browser.get(await atProvider(browser));
    const rolesNow = async (): Promise<unknown> =>
      (await browser.get('/api/v1/session')).json().person?.roles;
    expect(await rolesNow()).toEqual(['helpdesk-administrator', 'self-service-user']);
    // The person leaves the group; nobody tells the service.
    issuer.signsIn = { name: 'CORP\\anna', groups: [] };
    one.clock.movedMs += 29 * 60_000;
    const late = (await browser.get('/api/v1/session')).json();
    expect(late.person.roles).toEqual(['helpdesk-administrator', 'self-service-user']);
    expect(late.secondsLeft).toBe(60);
    one.clock.movedMs += 60_000;
    expect((await browser.get('/api/v1/session')).status).toBe(401);
    expect(one.desk.site.lines).toContainEqual(
      expect.objectContaining({ event: 'session.ended', why: 'the provider is to be asked again' }),
    );
    // The provider still knows the browser: one redirect there and back, nothing to type.
    await browser.get(await atProvider(browser));
    expect(await rolesNow()).toEqual(['self-service-user']);
  });

  test('bounds sessions of before too, where the time was made shorter; those of local accounts it leaves', async () => {
    const one = await lab();
    one.issuer!.signsIn = { name: 'CORP\\anna', groups: ['Desk'] };
    const browser = one.browser();
    await browser.get(await atProvider(browser));
    const local = await one.as('CORP\\local', 'operator');
    one.clock.movedMs += 10 * 60_000;
    for (const who of [browser, local]) expect((await who.get('/api/v1/session')).status).toBe(200);
    one.clock.movedMs += 10 * 60_000;
    const { oidc, ...others } = one.settings;
    const shorter = { ...others, oidc: { ...oidc!, rolesMs: 15 * 60_000 } };
    const find = (settings: RecoveryServiceSettings, who: Browser): Promise<unknown> =>
      new Sessions(one.desk.store.people, settings, one.clock, one.desk.site.log).find(
        who.cookie('__Host-mpe-session'),
      );
    expect(await find(one.settings, browser)).not.toBeNull();
    expect(await find(shorter, local)).not.toBeNull();
    expect(await find(shorter, browser)).toBeNull();
  });

  test('gives nobody the name of break-glass', async () => {
    const one = await lab();
    one.issuer!.signsIn = { name: 'Break-Glass', groups: ['Desk Admins'] };
    const browser = one.browser();
    expect((await browser.get(await atProvider(browser))).text).toContain('problem=PROVIDER_REFUSED');
    expect(browser.cookie('__Host-mpe-session')).toBeUndefined();
  });

  test('gives no session to who has no role', async () => {
    const one = await ServiceLab.open({ MPE_RECOVERY_OIDC_ROLES: 'Desk=helpdesk-user' }, { oidc: true });
    one.issuer!.signsIn = { name: 'CORP\\mallory', groups: ['desk', 'Desk2'] };
    const browser = one.browser();
    const answer = await browser.get(await atProvider(browser));
    expect(answer.text).toContain('problem=NO_ROLE');
    expect(browser.cookie('__Host-mpe-session')).toBeUndefined();
  });

  test('access tokens of API clients need signature, issuer and audience, and no CSRF token', async () => {
    const one = await lab();
    const issuer = one.issuer!;
    issuer.tokenClaims = { preferred_username: 'script', groups: ['Desk Admins'] };
    const browser = one.browser();
    const token = async (resource?: string): Promise<string> => {
      const answer = await browser.form(`${issuer.url}/token`, issuer.tokenForm(resource), { origin: '' });
      return answer.json().access_token as string;
    };
    const ask = async (authorization: string): Promise<Answer> =>
      one
        .browser()
        .post(
          '/api/v1/keys/search',
          { keyId: '00000000' },
          { authorization, origin: '', 'sec-fetch-site': '' },
        );
    const good = await token();
    expect((await ask(`Bearer ${good}`)).json()).toEqual({ keys: [], more: false });
    expect((await ask(`Bearer ${await token('api://another')}`)).status).toBe(401);
    const [head, payload, signature = ''] = good.split('.');
    const forged = Buffer.from(Buffer.from(payload!, 'base64url').toString().replace('Desk Admins', 'Desk'));
    expect((await ask(`Bearer ${head}.${forged.toString('base64url')}.${signature}`)).status).toBe(401);
    const none = Buffer.from('{"alg":"none","typ":"JWT","kid":"key-1"}').toString('base64url');
    expect((await ask(`Bearer ${none}.${payload}.`)).status).toBe(401);
    expect((await ask(`Bearer nothing`)).status).toBe(401);
    expect((await ask(`Basic ${Buffer.from('a:b').toString('base64')}`)).status).toBe(401);
    one.clock.movedMs += 2 * 3_600_000;
    expect((await ask(`Bearer ${good}`)).status).toBe(401);
    expect(JSON.stringify(one.desk.site.lines)).not.toContain(signature);
  });
});

/** Changes what the browser keeps while somebody is at the provider. */
function change(browser: Browser, kept: Record<string, string>): void {
  const before = JSON.parse(Buffer.from(browser.cookie(STATE)!, 'base64url').toString('utf8')) as object;
  browser.setCookie(STATE, Buffer.from(JSON.stringify({ ...before, ...kept })).toString('base64url'));
}

test('groups are compared exactly, and what is no list of texts is none', () => {
  const map = [
    { group: 'Desk', role: 'helpdesk-user' },
    { group: '*', role: 'self-service-user' },
  ] as const;
  expect(rolesOfGroups(['Desk', 'Desk'], map)).toEqual(['helpdesk-user', 'self-service-user']);
  expect(rolesOfGroups(['desk'], map)).toEqual(['self-service-user']);
  expect(groupsOf(['a', 1, null, 'b'])).toEqual(['a', 'b']);
  expect(groupsOf({ a: 1 })).toEqual([]);
  expect(nameOf('a\nb')).toBeNull();
  expect(nameOf('a\u202eb')).toBeNull();
  expect(nameOf(' CORP\\anna ')).toBe('CORP\\anna');
});
