import { createHash, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { MpeClient, randomRecoveryPassword } from '../../src/client/index.js';
import {
  generatePrivateKey,
  issueAccessToken,
  openReply,
  publicPart,
  sealReply,
  sign,
  signSiteDocument,
  verify,
  verifyAccessToken,
  verifySiteDocument,
  wrapSecret,
} from '../../src/jose/index.js';
import { isMpeError } from '../../src/ops/errors.js';
import type { Body } from '../../src/protocol/client-message.js';
import { guidToBytes, newGuid, NIL_GUID, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk, PublicJwk } from '../../src/protocol/jwk.js';
import type { SiteDocument } from '../../src/protocol/site-document.js';
import { encryptAtRest } from '../../src/secrets/at-rest.js';
import { wrapRetiredKey } from '../../src/secrets/archive-key.js';
import { FileKeeper } from '../../src/secrets/certificate-keeper.js';
import { unwrapDataKey, wrapDataKey } from '../../src/secrets/data-key.js';
import { openKeyFolder, type KeyFolder } from '../../src/secrets/key-folder.js';
import { SecretOpener } from '../../src/secrets/open-secret.js';
import { openFingerprintKey, openSealingKey, openSealingKeys } from '../../src/secrets/site-keys.js';
import { checkSite } from '../../src/secrets/site-check.js';
import type { DataKeyRow } from '../../src/secrets/types.js';
import { verifySecret } from '../../src/secrets/verify-secret.js';
import { openStore } from '../../src/store/open-store.js';
import type { SealingKeyRow, StoredSecret } from '../../src/store/site-store.js';
import { LiveSite } from '../client/live-site.js';
import { readAll, searchIn, spellingsOfPassword, spellingsOfText } from '../support/canary.js';
import { copyWithModes } from '../support/copy-folder.js';
import { answerOf, RawClient } from '../support/raw-client.js';
import { FORGERIES, READINGS, type Forgery, type Loot, type Readable } from '../support/stolen-attempts.js';
import { tempFolder } from '../support/temp.js';
import { publicKeyHash, Thief, type Stolen } from '../support/thief.js';

// A whole site at work, and thieves with every part of it: gateway, worker, redis-server with its
// append-only file, SQLite, a client with its journal. What each comes to read, and what each can forge,
// is exactly what design §5 says; the tables are those of docs/security.md.

const canaries = {
  password: randomRecoveryPassword(),
  passwordOfToday: randomRecoveryPassword(),
  queued: randomRecoveryPassword(),
  quarantined: randomRecoveryPassword(),
  uncommitted: randomRecoveryPassword(),
  committedOfJournal: randomRecoveryPassword(),
};
const keyPackage = createHash('sha512').update('a key package that nobody may read').digest();
const ownerAuth = createHash('sha1').update('an owner authorization that nobody may read').digest();
const bytesAndHex = (bytes: Buffer): Map<string, Buffer> =>
  new Map([
    ['bytes', bytes],
    ...spellingsOfText(bytes.toString('hex')),
    ['base64', Buffer.from(bytes.toString('base64url').slice(4, 20))],
  ]);

let site: LiveSite;
let raw: RawClient;
let journalId: Guid;
let folder: string;
let recovery: KeyFolder;
let secrets: StoredSecret[];
let dataKeys: readonly DataKeyRow[];
let currentDataKey: Guid;
let genuine: { readonly replyKey: Buffer; readonly messageId: Guid; readonly sealedReply: string };
let queuedReplyKey: { readonly replyKey: Buffer; readonly messageId: Guid };

const at = (...names: string[]): string => join(folder, ...names);
const escrow = (recoveryPassword: string, more: { keyPackage?: Buffer } = {}): Body => ({
  type: 'ESCROW_RECOVERY_KEYS',
  volumes: [
    {
      volumeId: guidToBytes(newGuid()),
      volumeType: 'OS',
      driveLabel: 'C:',
      protection: 'ON',
      protectors: [{ keyId: guidToBytes(newGuid()), recoveryPassword, ...more }],
    },
  ],
});

async function send(
  body: Body,
  signing?: PrivateJwk,
  headers: Record<string, string> = {},
): Promise<{ said: string; message: ReturnType<RawClient['message']>; sealedReply: string }> {
  const message = raw.message(body);
  const sealed = await raw.sealed(message, signing === undefined ? {} : { signing });
  const { reply, problem } = answerOf(await raw.post(raw.envelope(message, sealed), headers));
  return { said: reply?.disposition ?? problem ?? '', message, sealedReply: reply?.sealedReply ?? '' };
}

beforeAll(async () => {
  folder = tempFolder('mpe-stolen-');
  site = await LiveSite.start();
  raw = await RawClient.enrol(site.url, site.enrolmentToken);
  const first = await send(escrow(canaries.password, { keyPackage }));
  expect(first.said).toBe('COMMITTED');
  genuine = {
    replyKey: Buffer.from(first.message.replyKey),
    messageId: first.message.messageId,
    sealedReply: first.sealedReply,
  };
  expect((await send({ type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth })).said).toBe('COMMITTED');
  const volumes = (recoveryPassword: string): Parameters<MpeClient['escrow']>[0] => [
    { volumeId: newGuid(), volumeType: 'OS', protectors: [{ keyId: newGuid(), recoveryPassword }] },
  ];
  const client = await MpeClient.enrol({
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    state: at('journal'),
    machine: { machineName: 'JOURNAL' },
  });
  journalId = client.clientId;
  await client.escrow(volumes(canaries.committedOfJournal));
  expect((await client.drain({ timeoutMs: 120_000 })).pending).toBe(0);
  // A worker that starts anew has a new data key: that of today.
  await site.stopWorker();
  await site.startWorker();
  expect((await send(escrow(canaries.passwordOfToday))).said).toBe('COMMITTED');
  expect((await send(escrow(canaries.quarantined), await generatePrivateKey('ES256'))).said).toBe(
    'QUARANTINED',
  );
  await site.stopWorker();
  const queued = await send(escrow(canaries.queued), undefined, { prefer: 'wait=0' });
  expect(queued.said).toBe('QUEUED');
  queuedReplyKey = { replyKey: Buffer.from(queued.message.replyKey), messageId: queued.message.messageId };
  await client.escrow(volumes(canaries.uncommitted));
  await client.close();

  await steal();
  recovery = await openKeyFolder(at('recovery'), 'recovery');
  secrets = [];
  for await (const secret of site.store.streamSecrets()) secrets.push(secret);
  dataKeys = await site.store.readDataKeys();
  // One secret alone was stored since the worker started anew.
  const ids = secrets.map(({ content }) => (content.form === 'SEALED' ? content.dataKeyId : NIL_GUID));
  currentDataKey = ids.find((id) => ids.filter((other) => other === id).length === 1) ?? NIL_GUID;
  expect(dataKeys).toHaveLength(2);
}, 180_000);

afterAll(async () => {
  raw.close();
  await site.stop();
});

function copyRedis(to: string): void {
  cpSync(site.redis.folder, at(to), { recursive: true, filter: (from) => !from.endsWith('.sock') });
}

/** Lets Redis rewrite its append-only file, as it does by itself when the file has grown. */
async function rewriteRedis(): Promise<void> {
  const redis = site.redis.connect();
  try {
    await redis.call('BGREWRITEAOF');
    const busy = async (): Promise<boolean> =>
      /aof_rewrite_(?:in_progress|scheduled):1/.test(await redis.info('persistence'));
    while (await busy()) await sleep(50);
  } finally {
    redis.disconnect();
  }
}

/** Copies everything, each part into a folder of its own. */
async function steal(): Promise<void> {
  for (const role of ['gateway', 'worker', 'recovery', 'root', 'ca'])
    for (const part of ['site.json', role])
      copyWithModes(join(site.keysDir, part), at(role === 'ca' ? 'root' : role, part));
  copyRedis('redis');
  await rewriteRedis();
  copyRedis('rewritten');
  const { store } = site.config;
  if (store.kind !== 'sqlite') throw new Error('this test reads SQLite');
  const database = new Database(store.path, { readonly: true });
  for (const name of ['site.db', 'since.db']) database.prepare('VACUUM INTO ?').run(at(name));
  database.close();
  // The same database after the sealing keys were retired: each is wrapped to the certificate, and gone.
  const since = await openStore({ kind: 'sqlite', path: at('since.db') });
  const keys = await openKeyFolder(site.keysDir, 'operator');
  for (const row of await since.readSealingKeys()) {
    const { kid, alg, publicJwk, createdAtMs } = row;
    const certificate = keys.certificate()!;
    const wrapped = await wrapRetiredKey(
      await openSealingKey(row, keys.workerSecret()),
      keys.siteGuid,
      certificate,
    );
    const archived = { kid, alg, publicJwk, createdAtMs, archivedAtMs: Date.now() };
    await since.archiveSealingKey({ ...archived, wrapped, certificateThumbprint: certificate.thumbprint });
    expect(await since.removeSealingKey(kid)).toBe(true);
  }
  await since.close();
  const compact = new Database(at('since.db'));
  // What was removed lies in free pages until then: a retired key is gone with the next VACUUM.
  compact.exec('VACUUM');
  compact.close();
}

async function loot(holds: readonly Loot[]): Promise<Stolen> {
  const has = (one: Loot): boolean => holds.includes(one);
  const row = dataKeys.find((one) => one.dataKeyId === currentDataKey)!;
  return {
    files: [
      ...(has('Redis') ? [at('redis')] : []),
      ...(has('Redis, rewritten') ? [at('rewritten')] : []),
      ...(has('gateway') ? [at('gateway')] : []),
      ...(has('worker') ? [at('worker')] : []),
      ...(has('recovery') ? [at('recovery')] : []),
      ...(has('root and CA') ? [at('root')] : []),
      ...(has('journal') ? [at('journal')] : []),
    ],
    databases: [
      ...(has('database') ? [at('site.db')] : []),
      ...(has('database since') ? [at('since.db')] : []),
    ],
    dataKeys: has('worker’s memory')
      ? new Map([
          [currentDataKey, await unwrapDataKey(row, recovery.siteGuid, await FileKeeper.open(recovery.path))],
        ])
      : new Map(),
  };
}

/** What lies open in contents: a group counts where all of it is there, and never in part. */
function readable(contents: ReadonlyMap<string, Uint8Array>): Readable[] {
  const token = site.enrolmentToken.split('.')[3]!;
  const groups: Record<Readable, Map<string, Buffer>[]> = {
    stored: [
      spellingsOfPassword(canaries.password),
      bytesAndHex(keyPackage),
      bytesAndHex(ownerAuth),
      spellingsOfPassword(canaries.committedOfJournal),
    ],
    'stored today': [spellingsOfPassword(canaries.passwordOfToday)],
    queued: [spellingsOfPassword(canaries.queued)],
    quarantined: [spellingsOfPassword(canaries.quarantined)],
    uncommitted: [spellingsOfPassword(canaries.uncommitted)],
    'enrolment token': [new Map([...spellingsOfText(token), ['bytes', Buffer.from(token, 'base64url')]])],
  };
  return (Object.entries(groups) as [Readable, Map<string, Buffer>[]][]).flatMap(([name, parts]) => {
    const found = parts.map((spellings) => searchIn(contents, spellings).length > 0);
    expect(new Set(found).size, `${name} is found in part`).toBe(1);
    return found[0] === true ? [name] : [];
  });
}

describe('what a thief can read', () => {
  it.each(READINGS)('$holds: $reads', async ({ holds, reads }) => {
    const thief = await Thief.open(await loot(holds));
    expect(readable(thief.contents)).toEqual(reads);
  });

  it('finds no secret in clear, whatever part is searched, but in a journal before COMMITTED', () => {
    for (const part of ['redis', 'rewritten', 'gateway', 'worker', 'recovery', 'root', 'site.db', 'since.db'])
      expect(readable(readAll([at(part)])), part).toEqual([]);
    expect(readable(readAll([at('journal')]))).toEqual(['uncommitted']);
  });

  it('and the same search finds each of them where it is planted', () => {
    const all = [...Object.values(canaries).map((one) => Buffer.from(one)), keyPackage, ownerAuth];
    const planted = Buffer.concat([...all, Buffer.from(site.enrolmentToken)]);
    expect(readable(new Map([['planted', planted]]))).toEqual([
      'stored',
      'stored today',
      'queued',
      'quarantined',
      'uncommitted',
      'enrolment token',
    ]);
  });
});

/** 'opens', or the reason why it does not. */
async function openingOf(
  secret: StoredSecret,
  change: {
    identity?: Partial<StoredSecret['identity']>;
    content?: Partial<StoredSecret['content']>;
    siteGuid?: Guid;
    rows?: readonly DataKeyRow[];
  } = {},
): Promise<string> {
  const keeper = await FileKeeper.open(recovery.path);
  const opener = new SecretOpener({
    siteGuid: change.siteGuid ?? recovery.siteGuid,
    keeper,
    dataKeys: change.rows ?? dataKeys,
  });
  return opener
    .open({ ...secret.identity, ...change.identity }, {
      ...secret.content,
      ...change.content,
    } as StoredSecret['content'])
    .then(
      () => 'opens',
      (error: unknown) => (isMpeError(error) ? String(error.facts['reason']) : 'another error'),
    );
}

/** 'verified', or the code of the refusal. */
const codeOf = (doing: Promise<unknown>): Promise<string> =>
  doing.then(
    () => 'verified',
    (error: unknown) => (isMpeError(error) ? error.code : String(error)),
  );

const everything = (): Promise<Stolen> => loot(['gateway', 'worker', 'database', 'Redis']);
const document = async (): Promise<SiteDocument> =>
  verifySiteDocument((await site.store.readSiteDocument()).jws, recovery.rootThumbprint);
const gateway = (): Promise<KeyFolder> => openKeyFolder(at('gateway'), 'gateway');
const worker = (): Promise<KeyFolder> => openKeyFolder(at('worker'), 'worker');
const two = (): [StoredSecret, StoredSecret] => {
  const passwords = secrets.filter((one) => one.identity.kind === 'RECOVERY_PASSWORD');
  const other = passwords.find(
    (one) => one.content.form === 'SEALED' && one.content.dataKeyId === currentDataKey,
  )!;
  return [passwords.find((one) => one !== other)!, other];
};
const tokenOf = async (clientId: Guid): Promise<string> =>
  issueAccessToken(
    { siteGuid: siteGuid(), clientId, epoch: 1, lifetimeSeconds: 600, nowMs: Date.now() },
    (await gateway()).tokenKey(),
  );
const siteGuid = (): Guid => recovery.siteGuid;
const sealingRow = (rows: readonly SealingKeyRow[], alg: string): SealingKeyRow =>
  rows.find((row) => row.alg === alg)!;

/** The private key of a thief that answers to a public key, where it has one. */
async function hasKeyOf(stolen: Stolen, key: KeyObject): Promise<boolean> {
  return (await Thief.open(stolen)).publicKeys().has(publicKeyHash(key));
}
const keyOf = (jwk: PublicJwk): KeyObject =>
  createPublicKey({ key: { ...publicPart(jwk) } as never, format: 'jwk' });

/** What each attempt comes to, and a control: what the same code says of the genuine thing. */
const attempts: Record<Forgery, () => Promise<readonly [came: string, control: string]>> = {
  'gateway: call as any client': async () => {
    const call = async (token: string): Promise<string> =>
      String(
        (await raw.call('GET', `/v1/messages/${newGuid()}`, undefined, { authorization: `Bearer ${token}` }))
          .status,
      );
    const came = await call(await tokenOf(journalId));
    return [came === '404' ? 'taken: any channel can be claimed' : came, await call('x')];
  },
  'gateway: fetch another client’s result': async () => {
    const token = await tokenOf(raw.clientId);
    const answer = answerOf(
      await raw.call('GET', `/v1/messages/${genuine.messageId}`, undefined, {
        authorization: `Bearer ${token}`,
      }),
    );
    const sealed = answer.reply?.sealedReply ?? '';
    const thief = await Thief.open(await loot(['gateway', 'database', 'Redis']));
    const [, , iv] = sealed.split('.');
    expect(iv).toBeDefined();
    const opened = [...thief.contents.keys()].some((name) => name.startsWith('opened'));
    return [
      sealed !== '' && !opened ? 'a sealed reply, which does not open' : 'opens',
      await codeOf(openReply(sealed, genuine.replyKey, genuine.messageId)),
    ];
  },
  'gateway: a message signed by a key of its own': async () => {
    const before = (await site.store.counts()).keys;
    await site.startWorker();
    const { said } = await send(escrow(randomRecoveryPassword()), await generatePrivateKey('ES256'));
    await expect.poll(async () => (await site.store.counts()).keys, { timeout: 60_000 }).toBe(before + 1);
    // One more: the message that waited in the queue. A genuine one counts at once.
    const control = (await send(escrow(randomRecoveryPassword()))).said;
    return [said === 'QUARANTINED' ? 'quarantined, and takes no effect' : said, control];
  },
  'gateway: a message signed by a key of its own under the client’s kid': async () => {
    const own = await generatePrivateKey('ES256');
    const jws = await sign(Buffer.from('x'), own, 'mpe-msg+jws');
    const header = Buffer.from(
      JSON.stringify({ alg: 'ES256', typ: 'mpe-msg+jws', kid: raw.key.kid }),
    ).toString('base64url');
    const forged = [header, ...jws.split('.').slice(1)].join('.');
    const genuineJws = await sign(Buffer.from('x'), raw.key, 'mpe-msg+jws');
    const key = publicPart(raw.key);
    return [
      await codeOf(verify(forged, 'mpe-msg+jws', key)),
      await codeOf(verify(genuineJws, 'mpe-msg+jws', key)),
    ];
  },
  'gateway: a reply under a key of its own': async () => {
    const forged = await sealReply(Buffer.from('COMMITTED'), Buffer.alloc(32, 7), genuine.messageId);
    return [
      await codeOf(openReply(forged, genuine.replyKey, genuine.messageId)),
      await codeOf(openReply(genuine.sealedReply, genuine.replyKey, genuine.messageId)),
    ];
  },
  'gateway: a site document signed by the token key': async () => {
    const tokenKey = (await gateway()).tokenKey();
    const forged = await signSiteDocument({ ...(await document()), rootKey: publicPart(tokenKey) }, tokenKey);
    return [await codeOf(verifySiteDocument(forged, recovery.rootThumbprint)), await codeOf(document())];
  },
  'gateway: a site token for another site': async () => {
    const tokenKey = (await gateway()).tokenKey();
    const issue = (siteGuid: Guid): Promise<string> =>
      issueAccessToken(
        { siteGuid, clientId: raw.clientId, epoch: 1, lifetimeSeconds: 60, nowMs: Date.now() },
        tokenKey,
      );
    const other = { siteGuid: newGuid(), nowMs: Date.now() };
    const others = [publicPart(await generatePrivateKey('ES256'))];
    return [
      await codeOf(verifyAccessToken(await issue(other.siteGuid), others, other)),
      await codeOf(
        verifyAccessToken(await issue(siteGuid()), [publicPart(tokenKey)], {
          siteGuid: siteGuid(),
          nowMs: Date.now(),
        }),
      ),
    ];
  },
  'gateway, worker, database, Redis: sign as a client': async () => [
    (await hasKeyOf(await everything(), keyOf(raw.key))) ? 'has the key' : 'no key',
    // The same search finds a client's key in the client's own journal.
    (await hasKeyOf(await loot(['journal']), await journalKey())) ? 'verified' : 'not found',
  ],
  'gateway, worker, database, Redis: sign a site document': async () => {
    const root = keyOf((await document()).rootKey);
    return [
      (await hasKeyOf(await everything(), root)) ? 'has the key' : 'no key',
      (await hasKeyOf(await loot(['root and CA']), root)) ? 'verified' : 'not found',
    ];
  },
  'gateway, worker, database, Redis: a TLS certificate for another name': async () => {
    const ca = new X509Certificate(readFileSync(join(site.keysDir, 'ca', 'ca.pem'))).publicKey;
    return [
      (await hasKeyOf(await everything(), ca)) ? 'has the key' : 'no key',
      (await hasKeyOf(await loot(['root and CA']), ca)) ? 'verified' : 'not found',
    ];
  },
  'worker, database, Redis: a reply to a message that it opens': async () => {
    const thief = await Thief.open(await loot(['worker', 'database', 'Redis']));
    const { replyKey, messageId } = queuedReplyKey;
    const found = searchIn(thief.contents, new Map([['reply key', replyKey]])).length > 0;
    const forged = await sealReply(Buffer.from('COMMITTED'), found ? replyKey : Buffer.alloc(32), messageId);
    const came = await codeOf(openReply(forged, replyKey, messageId));
    const without = await Thief.open(await loot(['gateway', 'database', 'Redis']));
    const control = searchIn(without.contents, new Map([['reply key', replyKey]])).length === 0;
    return [came === 'verified' ? 'verified: it can be forged' : came, control ? 'verified' : 'found'];
  },
  'journal: sign as this client': async () => [
    (await hasKeyOf(await loot(['journal']), await journalKey())) ? 'verified: it is this client' : 'no key',
    (await hasKeyOf(await loot(['journal']), keyOf(raw.key))) ? 'has another’s' : 'verified',
  ],
  'database: give one key’s ciphertext to another key': async () => {
    const [one, other] = two();
    return [await openingOf(one, { identity: { keyId: other.identity.keyId } }), await openingOf(one)];
  },
  'database: give it to another volume': async () => {
    const [one, other] = two();
    return [await openingOf(one, { identity: { volumeId: other.identity.volumeId } }), await openingOf(one)];
  },
  'database: give it to another kind': async () => {
    const [one] = two();
    return [await openingOf(one, { identity: { kind: 'KEY_PACKAGE' } }), await openingOf(one)];
  },
  'database: give it to another site': async () => {
    const [one] = two();
    const there = newGuid();
    // A data key that is good there, so that the ciphertext alone is what does not open.
    const keeper = await FileKeeper.open(recovery.path);
    const rows = await Promise.all(
      dataKeys.map(async (row) => ({
        ...row,
        wrapped: await wrapDataKey(
          await unwrapDataKey(row, siteGuid(), keeper),
          there,
          row.dataKeyId,
          recovery.certificateKey()!,
        ),
      })),
    );
    return [await openingOf(one, { siteGuid: there, rows }), await openingOf(one)];
  },
  'database: say that another data key made it': async () => {
    const [one] = two();
    return [await openingOf(one, { content: { dataKeyId: currentDataKey } }), await openingOf(one)];
  },
  'database: change one bit of it': async () => {
    const [one] = two();
    const bytes = Buffer.from(one.content.bytes);
    bytes[20]! ^= 1;
    return [await openingOf(one, { content: { bytes } }), await openingOf(one)];
  },
  'database: exchange two wrapped data keys': async () => {
    const [one] = two();
    const rows = dataKeys.map((row, index) => ({ ...row, wrapped: dataKeys[1 - index]!.wrapped }));
    return [await openingOf(one, { rows }), await openingOf(one)];
  },
  'database: take a data key away': async () => {
    const [one] = two();
    return [
      await openingOf(one, { rows: dataKeys.filter((row) => row.dataKeyId === currentDataKey) }),
      await openingOf(one),
    ];
  },
  'database: a data key of its own, wrapped to the certificate, with a password of its own': async () => {
    const [one] = two();
    const dataKeyId = newGuid();
    const key = Buffer.alloc(32, 9);
    const certificate = (await worker()).certificate()!;
    const row = {
      ...dataKeys[0]!,
      dataKeyId,
      wrapped: await wrapDataKey(key, siteGuid(), dataKeyId, certificate),
    };
    const { kind, keyId, volumeId } = one.identity;
    const bytes = encryptAtRest(
      key,
      { siteGuid: siteGuid(), kind, keyId, volumeId, dataKeyId },
      Buffer.from(randomRecoveryPassword()),
    );
    const keeper = await FileKeeper.open(recovery.path);
    const opener = new SecretOpener({ siteGuid: siteGuid(), keeper, dataKeys: [...dataKeys, row] });
    const fingerprints = await openFingerprintKey(
      await site.store.readFingerprintKey(),
      (await worker()).workerSecret(),
    );
    const forged = await verifySecret(opener, fingerprints, one.identity, {
      form: 'SEALED',
      dataKeyId,
      bytes,
    });
    const control = await verifySecret(opener, fingerprints, one.identity, one.content);
    return [forged.kind === 'differs' ? 'opens, and its fingerprint differs' : forged.kind, control.kind];
  },
  'database: exchange two sealing keys': async () => {
    const rows = await site.store.readSealingKeys();
    const [rsa, ecdh] = [sealingRow(rows, 'RSA-OAEP-256'), sealingRow(rows, 'ECDH-ES+A256KW')];
    const secret = (await worker()).workerSecret();
    const exchanged = { ...rsa, wrappedPrivate: ecdh.wrappedPrivate };
    return [await codeOf(openSealingKeys([exchanged], secret)), await codeOf(openSealingKeys(rows, secret))];
  },
  'database: a sealing key of its own': async () => {
    const rows = await site.store.readSealingKeys();
    const secret = (await worker()).workerSecret();
    // Without the worker secret it can be wrapped under another one only.
    const own = await generatePrivateKey('ECDH-ES+A256KW');
    const wrappedPrivate = await wrapSecret(Buffer.from(JSON.stringify(own)), {
      id: secret.id,
      key: Buffer.alloc(32, 5),
    });
    const row = { kid: own.kid, alg: 'ECDH-ES+A256KW', wrappedPrivate } as const;
    return [await codeOf(openSealingKeys([row], secret)), await codeOf(openSealingKeys(rows, secret))];
  },
  'database: a site document by a root of its own': async () => {
    const own = await generatePrivateKey('ES256');
    const forged = await signSiteDocument(
      { ...(await document()), rootKey: publicPart(own), version: 99 },
      own,
    );
    const keys = await worker();
    const row = await site.store.readSite();
    const real = (await site.store.readSiteDocument()).jws;
    return [await codeOf(checkSite(keys, row, forged)), await codeOf(checkSite(keys, row, real))];
  },
};

async function journalKey(): Promise<KeyObject> {
  const client = await site.store.findClient(journalId);
  return createPublicKey({ key: JSON.parse(client!.keys[0]!.publicJwk) as never, format: 'jwk' });
}

/** What the control of an attempt says where the genuine thing is as good as it must be. */
const FINE: ReadonlySet<string> = new Set(['verified', 'opens', 'ok', 'COMMITTED', '401']);

describe('what a thief can forge', () => {
  it.each(Object.entries(FORGERIES) as [Forgery, string][])(
    '%s: %s',
    async (name, expected) => {
      const [came, control] = await attempts[name]();
      expect(came).toBe(expected);
      expect(FINE, `the control said: ${control}`).toContain(control);
    },
    120_000,
  );
});

test('there are at least 20 attempts of each kind', () => {
  expect(READINGS.length).toBeGreaterThanOrEqual(20);
  expect(Object.keys(FORGERIES).length).toBeGreaterThanOrEqual(20);
});
