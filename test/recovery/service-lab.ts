import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { loadConfig, type RecoveryServiceSettings } from '../../src/config/index.js';
import type { Clock } from '../../src/ops/clock.js';
import type { Role } from '../../src/recovery/roles.js';
import { portalPages } from '../../src/recovery/service/pages.js';
import { recoveryServices } from '../../src/recovery/service/services.js';
import { startRecoveryService, type RecoveryService } from '../../src/recovery/service/start.js';
import { hashPassword } from '../../src/recovery/sign-in/password-hash.js';
import type { TestCa as Ca } from '../support/pki.js';
import { TestCa } from '../support/pki.js';
import { AUDIENCE, CLIENT_ID, CLIENT_SECRET, PeopleIssuer } from '../support/people-issuer.js';
import { Browser, type Answer } from './browser.js';
import { Desk } from './desk.js';

export const PASSWORD = 'correct horse battery staple';
/** For tests: a hash that costs little. */
export const CHEAP = { n: 1024, r: 8, p: 1 } as const;

/** A clock that a test moves. */
export class MovedClock implements Clock {
  movedMs = 0;
  #stoppedAtMs: number | null = null;

  now(): number {
    return (this.#stoppedAtMs ?? Date.now()) + this.movedMs;
  }

  /** From here on it moves by hand alone: no wait ends by itself, however slow the machine is. */
  stop(): void {
    this.#stoppedAtMs ??= Date.now();
  }
}

/** The recovery service over real TLS, on a site with machines. */
export class ServiceLab {
  readonly desk: Desk;
  readonly service: RecoveryService;
  readonly clock: MovedClock;
  readonly issuer: PeopleIssuer | null;
  readonly settings: RecoveryServiceSettings;
  readonly ca: Ca;

  private constructor(
    desk: Desk,
    service: RecoveryService,
    clock: MovedClock,
    issuer: PeopleIssuer | null,
    settings: RecoveryServiceSettings,
    ca: Ca,
  ) {
    this.desk = desk;
    this.service = service;
    this.clock = clock;
    this.issuer = issuer;
    this.settings = settings;
    this.ca = ca;
  }

  static async open(
    env: Record<string, string> = {},
    options: {
      readonly oidc?: boolean;
      readonly settings?: Partial<RecoveryServiceSettings>;
      /** With the portals' pages. */
      readonly pages?: boolean;
      readonly onTls?: (chainPem: string) => void;
      readonly lookEveryMs?: number;
    } = {},
  ): Promise<ServiceLab> {
    const desk = await Desk.open();
    const ca = await TestCa.create('Test CA');
    const { pem, keyPem } = await ca.server();
    const [key, cert, caFile] = ['tls.key', 'tls.pem', 'ca.pem'].map((name) => join(desk.site.folder, name));
    writeFileSync(key!, keyPem);
    writeFileSync(cert!, pem);
    writeFileSync(caFile!, ca.pem);
    const issuer = options.oidc === true ? await PeopleIssuer.start(ca) : null;
    const config = loadConfig({
      MPE_RECOVERY_LISTEN: '127.0.0.1:0',
      MPE_RECOVERY_TLS_KEY: key,
      MPE_RECOVERY_TLS_CERT: cert,
      MPE_RECOVERY_LIMIT_ADDRESS: 'off',
      ...(issuer === null
        ? {}
        : {
            MPE_RECOVERY_SIGN_IN: 'local,oidc',
            MPE_RECOVERY_OIDC_ISSUER: issuer.url,
            MPE_RECOVERY_OIDC_CLIENT_ID: CLIENT_ID,
            MPE_RECOVERY_OIDC_CLIENT_SECRET: CLIENT_SECRET,
            MPE_RECOVERY_OIDC_CA: caFile,
            MPE_RECOVERY_OIDC_AUDIENCE: AUDIENCE,
            MPE_RECOVERY_OIDC_ROLES:
              'Desk=helpdesk-user;Desk Admins=helpdesk-administrator;*=self-service-user',
          }),
      ...env,
    });
    const clock = new MovedClock();
    const { store } = desk;
    const { log } = desk.site;
    const disclosure = { ...desk.context, clock };
    const settings = { ...config.recovery.service, ...options.settings };
    const service = await startRecoveryService({
      ...{ settings, store, clock, log, audit: disclosure },
      services: recoveryServices({ store, clock, log, disclosure }),
      pages: options.pages === true ? [portalPages] : [],
      ...(options.onTls === undefined ? {} : { onTls: options.onTls }),
      ...(options.lookEveryMs === undefined ? {} : { lookEveryMs: options.lookEveryMs }),
    });
    issuer?.serve(service.origin);
    onTestFinished(async () => {
      await service.close(0);
      await issuer?.stop();
    });
    return new ServiceLab(desk, service, clock, issuer, settings, ca);
  }

  browser(): Browser {
    return new Browser(this.service.origin, this.ca.pem);
  }

  async account(name: string, ...roles: Role[]): Promise<void> {
    await this.desk.store.people.addAccount({
      ...{ name, roles, passwordHash: await hashPassword(PASSWORD, CHEAP), disabled: false, revision: 1 },
      ...{ createdAtMs: this.clock.now(), changedAtMs: this.clock.now(), lastSignInAtMs: null },
    });
  }

  signIn(browser: Browser, name: string, password = PASSWORD, portal = 'helpdesk'): Promise<Answer> {
    return browser.post('/sign-in/local', { name, password, portal });
  }

  /** A browser of somebody with these roles. */
  async as(name: string, ...roles: Role[]): Promise<Browser> {
    await this.account(name, ...roles);
    return this.signedIn(name);
  }

  async signedIn(name: string, portal = 'helpdesk'): Promise<Browser> {
    const browser = this.browser();
    const answer = await this.signIn(browser, name, PASSWORD, portal);
    if (answer.status !== 200) throw new Error(`not signed in: ${answer.status} ${answer.text}`);
    browser.csrf = answer.json().csrf;
    return browser;
  }
}
