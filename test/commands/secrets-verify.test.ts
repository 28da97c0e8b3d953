import { createHash, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/ops/clock.js';
import { parseEnrolmentToken } from '../../src/protocol/enrolment-token.js';
import { newGuid, NIL_GUID, type Guid } from '../../src/protocol/guid.js';
import { parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { DataKeyRing } from '../../src/secrets/data-key-ring.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { identify } from '../../src/secrets/secret-identity.js';
import { openFingerprintKey } from '../../src/secrets/site-keys.js';
import type { SecretForm, SecretIdentity, SecretKind } from '../../src/secrets/types.js';
import { openStore } from '../../src/store/open-store.js';
import type { SecretWrite, SiteStore } from '../../src/store/site-store.js';
import { Home, type Ran } from './mpe.js';
import { copyWithModes } from '../support/copy-folder.js';

const PASSWORD = '000000-011011-022022-033033-044044-055055-066066-077077';
const OTHER_PASSWORD = '111111-011011-022022-033033-044044-055055-066066-077077';

/** A site with a real database, and what a worker needs to write into it. */
class World {
  readonly home: Home;
  store!: SiteStore;
  ring!: DataKeyRing;
  #identify!: (kind: SecretKind, keyId: Guid, volumeId: Guid, value: Uint8Array) => SecretIdentity;
  readonly clientId = newGuid();
  #sequence = 0n;

  private constructor(home: Home) {
    this.home = home;
  }

  /** A copy of a site that was just made. */
  static async create(template: Home, enrolmentToken: string): Promise<World> {
    const world = new World(template.copy());
    const keys = await openKeyFolder(world.home.keysDir, 'worker');
    world.store = await openStore({ kind: 'sqlite', path: world.home.database });
    const fingerprintKey = await openFingerprintKey(
      await world.store.readFingerprintKey(),
      keys.workerSecret(),
    );
    world.#identify = (...args) => identify(fingerprintKey, ...args);
    world.ring = world.newRing(keys.certificate()!, keys.siteGuid);
    const registered = await world.store.commitRegistration({
      clientId: world.clientId,
      registrationId: newGuid(),
      kid: randomBytes(32).toString('base64url'),
      publicJwk: '{}',
      enrolmentTokenHash: createHash('sha256').update(parseEnrolmentToken(enrolmentToken).secret).digest(),
      provenByKid: null,
      machineName: 'PC1',
      domain: 'CONTOSO',
      hardwareId: '',
      joinType: 'DOMAIN',
      atMs: Date.now(),
    });
    expect(registered.status).toBe('REGISTERED');
    return world;
  }

  newRing(
    certificate: ConstructorParameters<typeof DataKeyRing>[0]['certificate'],
    siteGuid: Guid,
  ): DataKeyRing {
    const persist = (row: Parameters<SiteStore['insertDataKey']>[0]): Promise<void> =>
      this.store.insertDataKey(row);
    return new DataKeyRing({ siteGuid, certificate, persist, clock: systemClock(), by: 'test' });
  }

  identity(kind: SecretKind, value: Uint8Array, keyId = newGuid()): SecretIdentity {
    return kind === 'TPM_OWNER_AUTH'
      ? this.#identify(kind, this.clientId, NIL_GUID, value)
      : this.#identify(kind, keyId, newGuid(), value);
  }

  async sealed(
    kind: SecretKind,
    plaintext: Uint8Array,
    value = plaintext,
    ring = this.ring,
  ): Promise<SecretWrite> {
    const identity = this.identity(kind, value);
    return { identity, content: await ring.encrypt(identity, plaintext) };
  }

  password(text: string): Promise<SecretWrite> {
    return this.sealed('RECOVERY_PASSWORD', Buffer.from(text), parseRecoveryPassword(text).bytes);
  }

  /** Commits secrets as a worker would. */
  async commit(...secrets: readonly SecretWrite[]): Promise<void> {
    const messageId = newGuid();
    const digest = randomBytes(32);
    this.#sequence += 1n;
    const rank = { epoch: 1, sequence: this.#sequence, digest };
    const bodyType = 'ESCROW_RECOVERY_KEYS';
    const atMs = Date.now();
    const [result] = await this.store.apply([
      {
        candidate: {
          ...{ clientId: this.clientId, messageId, bodyType, rank, leavesOutcome: true },
          ...{ secrets: secrets.map(({ identity }) => identity), volumes: [], state: null, rotation: null },
        },
        outcome: {
          ...{ clientId: this.clientId, messageId, digest, bodyType, epoch: 1, sequence: rank.sequence },
          ...{ disposition: 'COMMITTED', reason: 'NONE', sealedReply: '', attempts: 1, stages: [] },
          ...{ receivedAtMs: atMs, decidedAtMs: atMs, decidedBy: 'test' },
        },
        outcomeMode: 'insert',
        secrets,
        effects: true,
        atMs,
      },
    ]);
    expect(result).toMatchObject({ kind: 'applied', keysWritten: secrets.length });
  }

  verify(settings: Readonly<Record<string, string>> = {}, ...more: readonly string[]): Promise<Ran> {
    return this.home.mpe(['secrets', 'verify', ...more], settings);
  }
}

const [template, other] = [new Home(), new Home()];
let enrolmentToken = '';
let world: World;

beforeAll(async () => {
  const [made] = await Promise.all([template.init(), other.init()]);
  enrolmentToken = made['enrolmentToken'] ?? '';
}, 120_000);

beforeEach(async () => {
  world = await World.create(template, enrolmentToken);
});

afterEach(async () => {
  await world.store.close();
});

/** No digit group of the passwords, no key material. */
function expectNoSecret({ stdout, stderr }: Ran): void {
  for (const printed of [stdout, stderr]) {
    // Ids and thumbprints are random: they may hold any digits.
    const text = printed.replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{64}\b/g, 'ID');
    expect(text).not.toMatch(/\d{6}-\d{6}/);
    expect(text).not.toContain('077077');
  }
}

describe('mpe secrets verify', () => {
  test('opens everything, counts by kind and data key, shows no key and ends with 0', async () => {
    await world.commit(
      await world.password(PASSWORD),
      await world.password(OTHER_PASSWORD),
      await world.sealed('KEY_PACKAGE', randomBytes(300)),
      await world.sealed('TPM_OWNER_AUTH', randomBytes(20)),
    );
    const ran = await world.verify();
    expect(ran.stderr).toBe('');
    expect(ran.code).toBe(0);
    expect(ran.stdout).toMatch(/^RECOVERY_PASSWORD +2 +0 +0 +0 +0$/m);
    expect(ran.stdout).toMatch(/^KEY_PACKAGE +1 +0 +0 +0 +0$/m);
    expect(ran.stdout).toMatch(/^TPM_OWNER_AUTH +1 +0 +0 +0 +0$/m);
    const [row] = await world.store.readDataKeys();
    expect(ran.stdout).toContain(`${row!.dataKeyId}  4`);
    expect(ran.stdout).toContain('Every stored secret opens');
    expectNoSecret(ran);
    expect(JSON.parse((await world.verify({}, '--json')).stdout)).toMatchObject({ ok: true, failures: 0 });
  });

  test('finds a damaged, a moved and a different secret, names them and ends with 1', async () => {
    const [good, damaged, moved, donor] = await Promise.all([
      world.password(PASSWORD),
      world.password(PASSWORD),
      world.password(PASSWORD),
      world.password(OTHER_PASSWORD),
    ]);
    const flip = (content: SecretForm): SecretForm => {
      const bytes = Buffer.from(content.bytes);
      bytes[20] = (bytes[20] ?? 0) ^ 1;
      return { ...content, bytes };
    };
    // Encrypted for its place, and yet not the value of its fingerprint.
    const different = await world.sealed(
      'RECOVERY_PASSWORD',
      Buffer.from(OTHER_PASSWORD),
      parseRecoveryPassword(PASSWORD).bytes,
    );
    const noPassword = await world.sealed('RECOVERY_PASSWORD', Buffer.from('MIAGCSqGSIb3DQEHA6CAMIACAQAx'));
    await world.commit(
      good,
      { ...damaged, content: flip(damaged.content) },
      { ...moved, content: donor.content },
      different,
      noPassword,
    );
    const ran = await world.verify();
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^RECOVERY_PASSWORD +1 +2 +2 +0 +0$/m);
    for (const { identity } of [damaged, moved, different, noPassword])
      expect(ran.stdout).toContain(identity.keyId);
    expect(ran.stdout).not.toContain(good.identity.keyId);
    expect(ran.stdout).toContain('4 problems');
    expectNoSecret(ran);
  });

  test('marks what does not open where it is told to, and nothing otherwise', async () => {
    const [good, damaged] = [await world.password(PASSWORD), await world.password(PASSWORD)];
    const bytes = Buffer.from(damaged.content.bytes).reverse();
    await world.commit(good, { ...damaged, content: { ...damaged.content, bytes } });
    expect((await world.verify()).code).toBe(1);
    expect(await world.store.counts()).toMatchObject({ damagedSecrets: 0 });
    expect((await world.verify({}, '--mark-damaged')).code).toBe(1);
    expect(await world.store.counts()).toMatchObject({ secrets: 2, damagedSecrets: 1 });
    await world.commit({
      ...damaged,
      content: await world.ring.encrypt(damaged.identity, Buffer.from(PASSWORD)),
    });
    expect((await world.verify({}, '--mark-damaged')).code).toBe(0);
    expect(await world.store.counts()).toMatchObject({ secrets: 3, damagedSecrets: 0 });
  });

  test('takes a damaged generation for done once its successor opens', async () => {
    const secret = await world.password(PASSWORD);
    const broken = Buffer.from(secret.content.bytes).reverse();
    await world.commit({ ...secret, content: { ...secret.content, bytes: broken } });
    await world.store.markDamaged(secret.identity.secretId, 1, 'test', Date.now());
    expect((await world.verify()).code).toBe(1);
    await world.commit({
      ...secret,
      content: await world.ring.encrypt(secret.identity, Buffer.from(PASSWORD)),
    });
    const ran = await world.verify();
    expect(ran.stdout).toMatch(/^RECOVERY_PASSWORD +1 +0 +0 +1 +0$/m);
    expect(ran.code).toBe(0);
  });

  test('finds a data key that does not open, although no secret needs it yet', async () => {
    await world.commit(await world.password(PASSWORD));
    const [row] = await world.store.readDataKeys();
    await world.store.insertDataKey({ ...row!, dataKeyId: newGuid() });
    const ran = await world.verify();
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^data key \S+: data key \S+ does not open: .*another site or row$/m);
  });

  describe('with other keys', () => {
    test('of another site refuses, whatever it is mixed with', async () => {
      await world.commit(await world.password(PASSWORD));
      const foreign = await world.verify({ MPE_KEYS_DIR: other.keysDir });
      expect(foreign.code).toBe(1);
      expect(foreign.stderr).toMatch(/^mpe: SITE_MISMATCH: /);

      const mixed = join(new Home().folder, 'keys');
      copyWithModes(world.home.keysDir, mixed);
      copyWithModes(join(other.keysDir, 'recovery'), join(mixed, 'recovery'));
      const certificate = await world.verify({ MPE_KEYS_DIR: mixed });
      expect(certificate.code).toBe(1);
      expect(certificate.stderr).toMatch(/^mpe: KEY_FOLDER_INVALID: .*another certificate/);
    });

    test('finds secrets that were encrypted for the certificate of another site', async () => {
      const foreign = await openKeyFolder(other.keysDir, 'worker');
      const keys = await openKeyFolder(world.home.keysDir, 'worker');
      const ring = world.newRing(foreign.certificate()!, keys.siteGuid);
      const bytes = parseRecoveryPassword(PASSWORD).bytes;
      await world.commit(await world.sealed('RECOVERY_PASSWORD', Buffer.from(PASSWORD), bytes, ring));
      const ran = await world.verify();
      expect(ran.code).toBe(1);
      expect(ran.stdout).toContain('CERTIFICATE_OTHER');
    });

    test('missing refuses and makes none', async () => {
      rmSync(join(world.home.keysDir, 'recovery'), { recursive: true });
      const ran = await world.verify();
      expect(ran.code).toBe(1);
      expect(ran.stderr).toMatch(/^mpe: KEY_FOLDER_INVALID: .*recovery\/ is missing/);
    });
  });
});
