import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import {
  MemoryDrives,
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  type VolumeInput,
} from '../../src/client/index.js';
import type { RecoveryServiceSettings } from '../../src/config/index.js';
import { systemClock } from '../../src/ops/clock.js';
import { createLogger } from '../../src/ops/log.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { Role } from '../../src/recovery/roles.js';
import { startRecovery, type RunningRecovery } from '../../src/recovery/run.js';
import { pageProblem, portalPages } from '../../src/recovery/service/pages.js';
import { recoveryServices } from '../../src/recovery/service/services.js';
import { startRecoveryService, type RecoveryService } from '../../src/recovery/service/start.js';
import { hashPassword } from '../../src/recovery/sign-in/password-hash.js';
import { LiveSite } from '../client/live-site.js';
import { CLIENT_ID, CLIENT_SECRET, PeopleIssuer } from '../support/people-issuer.js';
import { TestCa } from '../support/pki.js';
import { tempFolder } from '../support/temp.js';

export const PASSWORD = 'correct horse battery staple';
export const NOTICE = 'A recovery key opens every file on your computer.\n\nEach request is recorded.';
/** For one step in the browser on a busy machine. */
export const PATIENT_MS = 120_000;
const ROLES =
  'Desk=helpdesk-user;Desk Admins=helpdesk-administrator;Operators=operator;Auditors=auditor;*=self-service-user';

/** A machine: the reference client with drives in memory. */
export class Machine {
  private constructor(
    readonly name: string,
    readonly client: MpeClient,
    readonly drives: MemoryDrives,
    readonly users: readonly { readonly domain: string; readonly name: string }[],
  ) {}

  static async enrol(
    site: LiveSite,
    name: string,
    users: Machine['users'],
    volumes: readonly VolumeInput[],
  ): Promise<Machine> {
    const client = await MpeClient.enrol({
      ...{ url: site.url, enrolmentToken: site.enrolmentToken, state: new MemoryStateStore() },
      ...{
        machine: { machineName: name, domain: 'CORP' },
        waitSeconds: 1,
        backoff: { baseMs: 20, capMs: 200 },
      },
    });
    const machine = new Machine(name, client, new MemoryDrives(volumes), users);
    await client.escrow(volumes);
    await machine.checkIn();
    return machine;
  }

  async checkIn(): Promise<void> {
    await this.client.checkIn({
      ...{ machineName: this.name, domain: 'CORP', users: this.users },
      volumes: this.drives
        .volumes()
        .map((one) => ({ ...one, keyIds: one.protectors.map(({ keyId }) => keyId) })),
    });
    await this.client.drain({ timeoutMs: 60_000 });
  }

  /** Does what the site asked for, until nothing is left to do. */
  async rotate(): Promise<void> {
    await this.checkIn();
    for (let round = 0; round < 8; round += 1) {
      if ((await this.client.follow(this.drives)) === 0) break;
      await this.client.drain({ timeoutMs: 60_000 });
    }
    await this.checkIn();
  }
}

/** A volume with one key; `prefix`: the first eight digits of its ID. */
export function volume(prefix?: string, more: Partial<VolumeInput['protectors'][number]> = {}): VolumeInput {
  const id = newGuid();
  const keyId = prefix === undefined ? id : `${prefix}${id.slice(8)}`;
  return {
    ...{ volumeId: newGuid(), volumeType: 'OS', driveLabel: 'C:', protection: 'ON' },
    protectors: [{ keyId, recoveryPassword: randomRecoveryPassword(), ...more }],
  };
}

const GUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;
/** A nonce, a hash, a token: random, and of no meaning. */
const RANDOM = /[\w-]{20,}/g;

/**
 * Whether a text tells the key, or two of its groups. One group alone may be six digits that stand there by
 * chance; in what is random anyway none is looked for.
 */
export function tellsKey(text: string, one: VolumeInput): boolean {
  const groups = passwordOf(one).split('-');
  if (text.includes(groups.join(''))) return true;
  const told = text
    .replaceAll(GUID, ' ')
    // Groups with a dash between them are as long.
    .replaceAll(RANDOM, (word) => (/\d{6}-\d{6}/.test(word) ? word : ' '));
  const isTold = (group: string): boolean => new RegExp(`(?<!\\d)${group}(?!\\d)`).test(told);
  return [...new Set(groups)].filter(isTold).length >= 2;
}

export const keyOf = (one: VolumeInput): Guid => one.protectors[0]!.keyId as Guid;
export const passwordOf = (one: VolumeInput): string => one.protectors[0]!.recoveryPassword!;

async function servePortals(
  { store }: LiveSite,
  { disclosure }: RunningRecovery,
  settings: RecoveryServiceSettings,
): Promise<RecoveryService> {
  const [log, clock] = [createLogger('test', { logLevel: 'error' }), systemClock()];
  // A busy disk is no audit that cannot be written.
  const patient = { ...disclosure, writeWithinMs: 60_000 };
  return startRecoveryService({
    ...{ settings, store, clock, log, audit: patient },
    services: recoveryServices({ store, clock, log, disclosure: patient }),
    pages: [portalPages],
    problemPage: pageProblem,
  });
}

/** A whole site with its portals over TLS, an OpenID provider, and a Chromium before them. */
export class PortalLab {
  /** Every address that any page asked for, and whether its answer may be kept. */
  readonly seen: { readonly url: string; readonly cacheControl: string }[] = [];
  readonly errors: string[] = [];
  readonly #others: RecoveryService[] = [];

  private constructor(
    readonly site: LiveSite,
    readonly service: RecoveryService,
    readonly issuer: PeopleIssuer,
    readonly browser: Browser,
    readonly recovery: RunningRecovery,
  ) {}

  static async start(browser: Browser, more: Readonly<Record<string, string>> = {}): Promise<PortalLab> {
    const folder = tempFolder('mpe-portal-');
    mkdirSync(folder, { recursive: true });
    const ca = await TestCa.create('Portal CA');
    const { pem, keyPem } = await ca.server();
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const issuer = await PeopleIssuer.start(ca);
    const site = await LiveSite.start({
      MPE_RECOVERY_LISTEN: '127.0.0.1:0',
      MPE_RECOVERY_OPS_LISTEN: 'off',
      MPE_RECOVERY_TLS_KEY: file('tls.key', keyPem),
      MPE_RECOVERY_TLS_CERT: file('tls.pem', pem),
      MPE_RECOVERY_LIMIT_ADDRESS: 'off',
      MPE_RECOVERY_SIGN_IN: 'local,oidc',
      MPE_RECOVERY_OIDC_ISSUER: issuer.url,
      MPE_RECOVERY_OIDC_CLIENT_ID: CLIENT_ID,
      MPE_RECOVERY_OIDC_CLIENT_SECRET: CLIENT_SECRET,
      MPE_RECOVERY_OIDC_CA: file('ca.pem', ca.pem),
      MPE_RECOVERY_OIDC_ROLES: ROLES,
      MPE_RECOVERY_COMPANY: 'Contoso IT',
      MPE_RECOVERY_HELPDESK_TEXT: 'Call the helpdesk: 4242',
      MPE_RECOVERY_HELPDESK_URL: 'https://help.example/',
      MPE_RECOVERY_NOTICE: file('notice.txt', NOTICE),
      ...more,
    });
    const { store } = site;
    const config = { ...site.config, keysDir: site.keysDir };
    const [log, clock] = [createLogger('test', { logLevel: 'error' }), systemClock()];
    const recovery = await startRecovery({ config, store, log, clock });
    const service = await servePortals(site, recovery, config.recovery.service);
    issuer.serve(service.origin);
    return new PortalLab(site, service, issuer, browser, recovery);
  }

  /** Another service on the same site, with other settings. Closed with the lab. */
  async serviceWith(change: Partial<RecoveryServiceSettings>): Promise<RecoveryService> {
    const settings = { ...this.site.config.recovery.service, ...change };
    const service = await servePortals(this.site, this.recovery, settings);
    this.#others.push(service);
    return service;
  }

  async stop(): Promise<void> {
    for (const other of this.#others) await other.close(0);
    await this.service.close(0);
    await this.recovery.close();
    await this.issuer.stop();
    await this.site.stop();
  }

  /** A browser of its own: no cookie of others. */
  async visitor(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await this.browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', ...options });
    context.setDefaultTimeout(PATIENT_MS);
    context.on('response', (response) => {
      const url = response.url();
      if (!url.startsWith(this.service.origin)) return;
      this.seen.push({ url, cacheControl: response.headers()['cache-control'] ?? '' });
    });
    // What the policy of the page forbids is an error, however the browser words it.
    await context.addInitScript(`document.addEventListener('securitypolicyviolation', (event) =>
      console.error('CSP', event.effectiveDirective, event.blockedURI, event.sample));`);
    context.on('weberror', (error) => this.errors.push(error.error().message));
    context.on('console', (message) => {
      const text = message.text();
      // A refusal's status is told there as well.
      if (message.type() === 'error' && !text.startsWith('Failed to load resource')) this.errors.push(text);
    });
    return context;
  }

  url(path: string): string {
    return `${this.service.origin}${path}`;
  }

  /** Signs somebody in at the provider, from the page that asked for it. */
  async byProvider(page: Page, path: string, name: string, ...groups: string[]): Promise<void> {
    this.issuer.signsIn = { name, groups };
    await page.goto(this.url(path));
    await page.getByRole('button', { name: 'Sign in with your organisation’s account' }).click();
    await page.waitForURL(this.url(path));
  }

  async account(name: string, ...roles: Role[]): Promise<void> {
    const now = Date.now();
    await this.site.store.people.addAccount({
      ...{
        name,
        roles,
        passwordHash: await hashPassword(PASSWORD, { n: 1024, r: 8, p: 1 }),
        disabled: false,
      },
      ...{ revision: 1, createdAtMs: now, changedAtMs: now, lastSignInAtMs: null },
    });
  }
}
