import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MemoryStateStore, MpeClient } from '../../src/client/index.js';
import { generatePrivateKey, sign, verifySiteDocument } from '../../src/jose/index.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import { formatRecoveryPassword } from '../../src/protocol/recovery-password.js';
import {
  decodeNonceReply,
  decodeTokenReply,
  encodeTokenRequest,
  encodeTokenStatement,
} from '../../src/protocol/site-token.js';
import { openKeyFolder, type KeyFolder } from '../../src/secrets/key-folder.js';
import { newGatewayKey } from '../../src/secrets/site-ca.js';
import { openStore } from '../../src/store/open-store.js';
import { copyWithModes } from '../support/copy-folder.js';
import { Engine } from '../support/engine.js';
import { killedEverywhere } from './killed-everywhere.js';
import { Home, type Ran } from './mpe.js';

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** Of the certificate that was shown. */
  readonly fingerprint: string;
}

const made = new Home();

beforeAll(async () => {
  await made.init('--test-site', '--hostname', 'mp1.example.org');
}, 60_000);

const ok = async (home: Home, ...args: readonly string[]): Promise<Ran> => {
  const ran = await home.mpe(args);
  expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(0);
  return ran;
};

async function tokenKids(home: Home): Promise<readonly string[]> {
  const keys = await openKeyFolder(home.keysDir, 'anyone');
  const store = await openStore({ kind: 'sqlite', path: home.database }, { readOnly: true });
  try {
    const document = await verifySiteDocument((await store.readSiteDocument()).jws, keys.rootThumbprint);
    return document.tokenKeys.map((key) => key.kid);
  } finally {
    await store.close();
  }
}

/** What must hold whatever was killed when: a gateway that starts now finds keys that fit each other and the site. */
async function assertSound(home: Home): Promise<KeyFolder> {
  const keys = await openKeyFolder(home.keysDir, 'gateway');
  expect(await tokenKids(home)).toContain(keys.tokenKey().kid);
  const chain = readFileSync(join(home.keysDir, 'gateway/tls-chain.pem'), 'utf8');
  const ca = new X509Certificate(readFileSync(join(home.keysDir, 'ca/ca.pem')));
  expect(new X509Certificate(chain).verify(ca.publicKey)).toBe(true);
  return keys;
}

describe('mpe gateway-keys', () => {
  test('rotate names new and old, again only when told; retire waits eight hours, or not', async () => {
    const home = made.copy();
    const [first] = await tokenKids(home);
    expect((await ok(home, 'gateway-keys', 'retire')).stdout).toContain('Nothing to retire');
    expect((await ok(home, 'gateway-keys', 'rotate')).stdout).toContain(
      'Site document 2 names it and the former one',
    );
    const keys = await assertSound(home);
    expect(await tokenKids(home)).toEqual([keys.tokenKey().kid, first]);
    expect((await ok(home, 'gateway-keys', 'rotate')).stdout).toContain('less than an hour ago');
    await ok(home, 'gateway-keys', 'rotate', '--again');
    expect(await tokenKids(home)).toHaveLength(3);
    // Other commands that publish keep them.
    await ok(home, 'site', 'publish', '--expires', '90');
    expect(await tokenKids(home)).toHaveLength(3);
    const listed = (await ok(home, 'gateway-keys', 'list')).stdout;
    expect(listed).toContain('signs since');
    expect(listed.match(/former: gateways take its tokens/g)).toHaveLength(2);
    const early = await home.mpe(['gateway-keys', 'retire']);
    expect(early.code).toBe(1);
    expect(early.stderr).toContain('tokens of the former key live until');
    const later = { MPE_TEST_CLOCK_OFFSET: '+481m' };
    const retired = await home.mpe(['gateway-keys', 'retire', '--json'], later);
    expect(JSON.parse(retired.stdout)).toMatchObject({
      retired: expect.arrayContaining([first]) as string[],
    });
    expect(await tokenKids(home)).toEqual([(await assertSound(home)).tokenKey().kid]);
    await ok(home, 'gateway-keys', 'rotate', '--again');
    expect((await ok(home, 'gateway-keys', 'retire', '--now')).stdout).toContain('retired');
    expect(await tokenKids(home)).toHaveLength(1);
    expect((await ok(home, 'secrets', 'list')).stdout).not.toContain('unexpected');
  }, 300_000);

  test('renew-tls keeps the names or takes others, with a new key', async () => {
    const home = made.copy();
    const before = (await assertSound(home)).tls();
    const renewed = (await ok(home, 'gateway-keys', 'renew-tls')).stdout;
    const now = (await assertSound(home)).tls();
    expect(now.key).not.toBe(before.key);
    expect(now.ca).toBe(before.ca);
    const names = (pem: string): string | undefined => new X509Certificate(pem).subjectAltName;
    expect(names(now.cert)).toBe(names(before.cert));
    expect(names(now.cert)).toContain('mp1.example.org');
    expect(renewed).toContain('::1');
    await ok(home, 'gateway-keys', 'renew-tls', '--hostname', 'mp2.example.org', '192.0.2.7');
    const other = names((await assertSound(home)).tls().cert);
    expect(other).toContain('DNS:mp2.example.org');
    expect(other).toContain('IP Address:192.0.2.7');
    expect(other).not.toContain('mp1.example.org');
    renameSync(join(home.keysDir, 'ca'), join(home.keysDir, 'away'));
    const refused = await home.mpe(['gateway-keys', 'renew-tls']);
    expect(refused.stderr).toContain('ca/ca.pem is missing');
  }, 300_000);

  test('between any two steps a gateway starts, and the same call finishes what was begun', async () => {
    const home = made.copy();
    const file = (name: string): string => join(home.keysDir, 'gateway', name);
    const old = { token: readFileSync(file('token-key.json')), tls: readFileSync(file('tls-key.pem')) };
    await ok(home, 'gateway-keys', 'rotate');
    await ok(home, 'gateway-keys', 'renew-tls');
    const done = await assertSound(home);

    // Published and issued, and not taken over.
    renameSync(file('token-key.json'), file('token-key-next.json'));
    writeFileSync(file('token-key.json'), old.token, { mode: 0o600 });
    renameSync(file('tls-key.pem'), file('tls-key-next.pem'));
    writeFileSync(file('tls-key.pem'), old.tls, { mode: 0o600 });
    const between = await assertSound(home);
    expect(between.tokenKey().kid).not.toBe(done.tokenKey().kid);
    expect(between.tls()).toEqual(done.tls());
    await ok(home, 'gateway-keys', 'rotate');
    await ok(home, 'gateway-keys', 'renew-tls');
    const finished = await assertSound(home);
    expect(finished.tokenKey().kid).toBe(done.tokenKey().kid);
    expect(finished.tls()).toEqual(done.tls());
    expect(await tokenKids(home)).toHaveLength(2);

    // A next TLS key without its chain, and a next token key that no document names.
    writeFileSync(file('tls-key-next.pem'), await newGatewayKey(), { mode: 0o600 });
    const next = await generatePrivateKey('ES256');
    writeFileSync(file('token-key-next.json'), JSON.stringify(next), { mode: 0o600 });
    expect((await assertSound(home)).tls()).toEqual(done.tls());
    await ok(home, 'gateway-keys', 'rotate');
    await ok(home, 'gateway-keys', 'renew-tls');
    expect((await assertSound(home)).tokenKey().kid).toBe(next.kid);
    for (const name of ['token-key-next.json', 'tls-key-next.pem'])
      expect(existsSync(file(name))).toBe(false);
  }, 300_000);

  test.each([
    [['gateway-keys', 'rotate'], 2],
    [['gateway-keys', 'renew-tls'], 1],
  ])(
    '%j, killed behind every change it makes, leaves keys that fit, and the same call finishes it',
    async (args, tokenKeys) => {
      await killedEverywhere(made, args, {
        between: assertSound,
        finished: async (home) => {
          await assertSound(home);
          expect(await tokenKids(home)).toHaveLength(tokenKeys);
          const left = readdirSync(join(home.keysDir, 'gateway')).filter((name) => /-next|\.new-/.test(name));
          expect(left).toEqual([]);
        },
      });
    },
    600_000,
  );
});

describe('a change of the gateway keys while the site runs', () => {
  let engine: Engine;
  let enrolmentToken: string;
  beforeAll(async () => {
    ({ engine, enrolmentToken } = await Engine.create());
  }, 90_000);
  afterAll(async () => engine.dispose());

  const escrow = async (client: MpeClient): Promise<void> => {
    const protectors = [{ keyId: newGuid(), recoveryPassword: formatRecoveryPassword(Buffer.alloc(16, 7)) }];
    await client.escrow([
      { volumeId: newGuid(), volumeType: 'OS', driveLabel: 'C:', protection: 'ON', protectors },
    ]);
    expect(await client.drain({ timeoutMs: 30_000 })).toMatchObject({ pending: 0 });
  };
  /** As an operator who copies the part to the host. */
  const copyToGateway = (): void =>
    copyWithModes(join(engine.home, 'keys/gateway'), join(engine.keysOf('gateway'), 'gateway'));

  const call = (method: string, path: string, headers: object, body?: Uint8Array): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const ca = readFileSync(join(engine.home, 'keys/gateway/ca.pem'));
      const sent = request(
        engine.url + path,
        { method, ca, agent: false, headers: { ...headers, 'content-length': body?.length ?? 0 } },
        (response) => {
          const { socket } = response;
          const seen = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              body: Buffer.concat(parts),
              fingerprint: seen?.fingerprint256 ?? '',
            }),
          );
        },
      );
      sent.once('error', reject);
      sent.end(body);
    });

  /** 404: the gateway took the token and knows no such message; 401: it did not. */
  const statusWith = async (token: string): Promise<number> =>
    (await call('GET', `/v1/messages/${newGuid()}`, { authorization: `Bearer ${token}` })).status;

  const kidOf = (token: string): string =>
    (JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid;

  const until = async (what: string, done: () => Promise<boolean>): Promise<void> => {
    const end = performance.now() + 60_000;
    while (!(await done())) {
      if (performance.now() > end) throw new Error(`not within a minute: ${what}`);
      // Who asks for the site document makes the gateway read it.
      await call('GET', '/v1/site', {});
      await sleep(500);
    }
  };

  test('old tokens go on, new ones come under the new key, TLS follows without a restart', async () => {
    const state = new MemoryStateStore();
    const client = await MpeClient.enrol({
      ...{ waitSeconds: 10, backoff: { baseMs: 100, capMs: 1000 } },
      ...{ url: engine.url, enrolmentToken, state },
      machine: { machineName: 'PC1' },
    });
    const { siteGuid, clientId, key } = JSON.parse((await state.read()) ?? '') as {
      siteGuid: Guid;
      clientId: Guid;
      key: PrivateJwk;
    };
    const askForToken = async (): Promise<Answer> => {
      const { nonce } = decodeNonceReply((await call('GET', '/v1/token/nonce', {})).body);
      const jws = await sign(encodeTokenStatement({ siteGuid, clientId, nonce }), key, 'mpe-token+jws');
      const type = { 'content-type': 'application/protobuf' };
      return call('POST', '/v1/token', type, encodeTokenRequest({ jws }));
    };
    const newToken = async (): Promise<string> => decodeTokenReply((await askForToken()).body).accessToken;
    const keyOfFolder = async (): Promise<string> =>
      (await openKeyFolder(join(engine.home, 'keys'), 'gateway')).tokenKey().kid;

    // The client holds a token of the first key from here on, in its memory.
    await escrow(client);
    const oldToken = await newToken();
    const gatewayPid = engine.gateway?.pid;
    await engine.run(['gateway-keys', 'rotate']);
    const second = await keyOfFolder();
    expect(second).not.toBe(kidOf(oldToken));

    // This host has not got it yet.
    expect(kidOf(await newToken())).toBe(kidOf(oldToken));
    copyToGateway();
    await until('a token of the new key', async () => kidOf(await newToken()) === second);
    expect(await statusWith(oldToken)).toBe(404);
    expect(await statusWith(await newToken())).toBe(404);
    await escrow(client);

    const { fingerprint } = await call('GET', '/v1/site', {});
    await engine.run(['gateway-keys', 'renew-tls']);
    copyToGateway();
    await until(
      'the new certificate',
      async () => (await call('GET', '/v1/site', {})).fingerprint !== fingerprint,
    );
    await escrow(client);

    await engine.run(['gateway-keys', 'retire', '--now']);
    await until('an end of old tokens', async () => (await statusWith(oldToken)) === 401);
    expect(await statusWith(await newToken())).toBe(404);
    // Its own is refused now: it gets a new one by itself.
    await escrow(client);

    // A gateway that is forgotten gives no token that nobody takes, says so, and is well again with the file.
    await engine.run(['gateway-keys', 'rotate', '--again']);
    await engine.run(['gateway-keys', 'retire', '--now']);
    await until('no token', async () => (await askForToken()).status === 503);
    await engine.gateway?.waitForEvent('gateway.token_key_retired');
    copyToGateway();
    expect(kidOf(await newToken())).toBe(await keyOfFolder());
    await escrow(client);
    expect(engine.gateway?.pid).toBe(gatewayPid);
    expect(engine.gateway?.running).toBe(true);
    await client.close();
  }, 400_000);
});
