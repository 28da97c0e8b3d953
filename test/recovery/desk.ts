import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/ops/clock.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { Body } from '../../src/protocol/client-message.js';
import { disclosureContext } from '../../src/recovery/disclosure/context.js';
import { disclose, type DisclosureContext } from '../../src/recovery/disclosure/disclose.js';
import type { Disclosure, DisclosureRequest, ShownKey } from '../../src/recovery/disclosure/types.js';
import { openRecoverySite, type RecoverySite } from '../../src/recovery/open-site.js';
import type { Person, Role } from '../../src/recovery/roles.js';
import type { AuditRow } from '../../src/store/disclosure-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import { checkIn, escrow, TestSite, volume, type SiteChanges, type TestClient } from '../workers/support.js';

export const HOUR_MS = 3_600_000;

/** Somebody who is signed in. */
export const person = (name: string, ...roles: Role[]): Person => ({ name, roles, signIn: 'local' });
export const ADMIN = person('CORP\\admin', 'helpdesk-administrator');
export const HELPDESK = person('CORP\\desk', 'helpdesk-user');

export type Request = Partial<DisclosureRequest>;

/** A site with machines whose messages go through the real pipeline, and a recovery service over it. */
export class Desk {
  readonly site: TestSite;
  readonly recovery: RecoverySite;
  readonly pipeline: Pipeline;
  readonly context: DisclosureContext;

  private constructor(
    site: TestSite,
    recovery: RecoverySite,
    pipeline: Pipeline,
    context: DisclosureContext,
  ) {
    this.site = site;
    this.recovery = recovery;
    this.pipeline = pipeline;
    this.context = context;
  }

  static async open(
    changes: SiteChanges = {},
    limits = { helpdeskPerHour: 1000, ownPerHour: 1000 },
  ): Promise<Desk> {
    const site = await TestSite.create(changes);
    const clock = systemClock();
    const recovery = await openRecoverySite(`${site.folder}/keys`, site.store, { clock, log: site.log });
    const config = { audit: { limits }, recovery: { rotationDeadlineMs: 24 * HOUR_MS } };
    const context = disclosureContext(config as never, recovery, { store: site.store, clock, log: site.log });
    const pipeline = await site.pipeline();
    onTestFinished(async () => {
      recovery.keys.close();
      await site.store.close();
    });
    return new Desk(site, recovery, pipeline, { ...context, writeWithinMs: 30_000 });
  }

  get store(): SiteStore {
    return this.site.store;
  }

  /** A machine with its local users (`DOMAIN\name`). */
  async machine(name: string, ...users: string[]): Promise<TestClient> {
    const client = await this.site.client();
    await this.send(client, checkIn([], { machineName: name, domain: 'CORP', users: users.map(userOf) }));
    return client;
  }

  async send(client: TestClient, body: Body): Promise<void> {
    const result = await this.pipeline.processMessage((await client.message(body)).job, { alone: false });
    if (result.verdict !== 'done') throw new Error(`the message was not answered: ${result.verdict}`);
  }

  /** Escrows one key; gives its ids. */
  async escrow(
    client: TestClient,
    password: string,
    more: { keyId?: Guid; volumeId?: Guid; keyPackage?: Uint8Array; label?: string } = {},
  ): Promise<{ keyId: Guid; volumeId: Guid }> {
    const { keyId = newGuid(), volumeId = newGuid(), label = 'C:', keyPackage } = more;
    const protector = { keyId, password, ...(keyPackage === undefined ? {} : { keyPackage }) };
    await this.send(client, escrow(volume([protector], { volumeId, label })));
    return { keyId, volumeId };
  }

  /** Asks for the password of a key as an administrator, unless said otherwise. */
  ask(keyId: Guid, change: Request = {}, context: DisclosureContext = this.context): Promise<Disclosure> {
    return disclose(context, request(keyId, change));
  }

  async rows(): Promise<readonly AuditRow[]> {
    return this.store.disclosure.auditAfter(0n, 1000);
  }
}

/** A request for the password of a key, by an administrator unless said otherwise. */
export function request(keyId: Guid, change: Request = {}): DisclosureRequest {
  return {
    disclosureId: newGuid(),
    person: ADMIN,
    source: 'Helpdesk',
    way: 'helpdesk',
    target: { kind: 'RECOVERY_PASSWORD', keyId },
    endUser: null,
    reason: change.way === 'own' ? 'Lost PIN/passphrase' : 'Lost PIN',
    ticket: '',
    ...change,
  };
}

/** The keys of an answer; fails where nothing was shown. */
export function shown(answer: Disclosure): readonly ShownKey[] {
  if (answer.outcome !== 'shown') throw new Error(`refused: ${answer.refusal}: ${answer.detail}`);
  return answer.keys;
}

/** The one key of an answer. */
export function onlyKey(answer: Disclosure): ShownKey {
  const [key, ...more] = shown(answer);
  if (key === undefined || more.length > 0) throw new Error(`${more.length + 1} keys were shown`);
  return key;
}

const userOf = (text: string): { domain: string; name: string } => {
  const [domain = '', name = ''] = text.split('\\');
  return { domain, name };
};
