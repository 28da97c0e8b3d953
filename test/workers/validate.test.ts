import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Body, ReplyStatement } from '../../src/protocol/client-message.js';
import { guidToBytes, newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PolicyRow } from '../../src/store/site-store.js';
import { readApart } from '../support/read-apart.js';
import { checkIn, escrow, password, statementOf, TestSite, volume } from './support.js';

let site: TestSite;
beforeAll(async () => {
  site = await TestSite.create();
});

/** What a fresh client of a site is answered to a body. */
async function answer(body: Body, of = site): Promise<ReplyStatement & { clientId: Guid }> {
  const client = await of.client();
  const sent = await client.message(body);
  const { reply } = await (await of.pipeline()).processMessage(sent.job, { alone: true });
  return statementOf(sent, reply);
}

const overall = (s: ReplyStatement): string =>
  s.reason === 'NONE' ? s.disposition : `${s.disposition} ${s.reason}`;
const keys = (s: ReplyStatement): string[][] =>
  s.volumes.map((v) =>
    v.keys.map((k) =>
      k.reason === 'NONE' ? k.status : `${k.reason}${k.badGroup > 0 ? ` ${k.badGroup}` : ''}`,
    ),
  );
const packages = (s: ReplyStatement): (string | undefined)[] =>
  s.volumes.flatMap((v) =>
    v.keys.map((k) => (k.keyPackage?.reason === 'NONE' ? k.keyPackage.status : k.keyPackage?.reason)),
  );

/** A client's current set for a volume, by what the site would ask for and what it found. */
async function reported(clientId: Guid, keyId: Guid): Promise<boolean> {
  const [found] = await site.store.findKeys(keyId, 1);
  return found?.holders.some((holder) => holder.clientId === clientId && holder.current) ?? false;
}

describe('recovery passwords', () => {
  const bad: Record<string, [string, string]> = {
    'a group that 11 does not divide': [
      '702510-071786-111111-222222-333333-444444-555555-666666',
      'RECOVERY_PASSWORD_INVALID 1',
    ],
    'a group above 720885': [
      '111111-222222-333333-444444-555555-666666-777777-888888',
      'RECOVERY_PASSWORD_INVALID 7',
    ],
    empty: ['', 'RECOVERY_PASSWORD_INVALID'],
    'a ciphertext in its place': [`MIAG${randomBytes(60).toString('base64')}`, 'RECOVERY_PASSWORD_INVALID'],
  };
  test.each(Object.keys(bad))('%s is refused with its group, beside a good one', async (name) => {
    const [text, reason] = bad[name]!;
    const good = newGuid();
    const s = await answer(escrow(volume([{ password: text }, { keyId: good, password: password(1) }])));
    expect([overall(s), keys(s)]).toEqual(['PARTIAL ITEMS_REJECTED', [[reason, 'COMMITTED']]]);
    expect(await reported(s.clientId, good)).toBe(true);
  });

  test('the key ID of a bad password stays in the report', async () => {
    const [good, broken] = [newGuid(), newGuid()];
    const volumeId = newGuid();
    const s = await answer(
      escrow(
        volume(
          [
            { keyId: good, password: password(2) },
            { keyId: broken, password: '1' },
          ],
          { volumeId },
        ),
      ),
    );
    expect(s.commands).toEqual([{ type: 'ESCROW', volumeId, keyIds: [broken] }]);
  });

  test('separators may be dashes, blanks or none, and the last group is no checksum', async () => {
    const text = '147279-525107-471207-278498-422125-177177-561902-000011';
    for (const form of [text, text.replaceAll('-', ' '), text.replaceAll('-', ''), ` ${text}\n`]) {
      expect(overall(await answer(escrow(volume([{ password: form }]))))).toBe('COMMITTED');
    }
  });
});

describe('key IDs and volumes', () => {
  test('an invalid key ID: its volume is not reported, the good keys of it are stored', async () => {
    const good = newGuid();
    const protectors = [
      { keyId: Buffer.alloc(16), password: password(3) },
      { keyId: good, password: password(4) },
    ];
    const s = await answer(escrow(volume(protectors)));
    expect([overall(s), keys(s)]).toEqual(['PARTIAL ITEMS_REJECTED', [['KEY_ID_INVALID', 'COMMITTED']]]);
    expect((await site.store.findKeys(good, 1))[0]?.readable).toBe(true);
    expect(await reported(s.clientId, good)).toBe(false);
  });

  test('an id that is too long is repeated cut at 16 bytes', async () => {
    const s = await answer(escrow(volume([{ keyId: Buffer.alloc(40, 7), password: password(5) }])));
    expect(overall(s)).toBe('REJECTED ALL_ITEMS_REJECTED');
    expect(Buffer.from(s.volumes[0]!.keys[0]!.keyId)).toEqual(Buffer.alloc(16, 7));
    expect(s.volumes[0]).toMatchObject({ status: 'REJECTED', reason: 'KEY_ID_INVALID' });
  });

  test('the second of two protectors with one key ID is refused, the first stands', async () => {
    const keyId = newGuid();
    const s = await answer(
      escrow(
        volume([
          { keyId, password: password(6) },
          { keyId, password: password(7) },
        ]),
      ),
    );
    expect(keys(s)).toEqual([['COMMITTED', 'KEY_ID_DUPLICATE']]);
    expect((await site.store.findKeys(keyId, 1))[0]?.conflict).toBe(false);
  });

  test('a bad volume harms no other', async () => {
    const volumeId = newGuid();
    const s = await answer(
      escrow(
        volume([{ password: password(8) }], { volumeId }),
        volume([{ password: password(9) }], { volumeId }),
        volume([{ password: password(10) }], { volumeId: Buffer.alloc(3, 1) }),
        { ...volume([{ password: password(11) }]), volumeType: 17 },
        volume([{ password: password(12) }], { type: 'FIXED', label: 'D:' }),
      ),
    );
    expect(overall(s)).toBe('PARTIAL ITEMS_REJECTED');
    expect(s.volumes.map((v) => v.reason)).toEqual([
      'NONE',
      'VOLUME_DUPLICATE',
      'VOLUME_ID_INVALID',
      'VOLUME_TYPE_UNKNOWN',
      'NONE',
    ]);
    expect(keys(s)[4]).toEqual(['COMMITTED']);
  });

  test('a label that is no text: the volume is refused, its key is stored all the same', async () => {
    const keyId = newGuid();
    for (const label of ['x'.repeat(65), 'C:\u0000']) {
      const s = await answer(escrow(volume([{ keyId, password: password(13) }], { label })));
      expect([overall(s), s.volumes[0]?.reason, keys(s)]).toEqual([
        'PARTIAL ITEMS_REJECTED',
        'TEXT_INVALID',
        [['COMMITTED']],
      ]);
      expect(await reported(s.clientId, keyId)).toBe(false);
    }
    expect(
      overall(await answer(escrow(volume([{ password: password(14) }], { label: '🍌'.repeat(64) })))),
    ).toBe('COMMITTED');
  });

  test('a volume without protectors is a report', async () => {
    expect(overall(await answer(escrow(volume([]))))).toBe('COMMITTED');
  });

  test('a key ID without its secret is asked for, which makes no message PARTIAL', async () => {
    const s = await answer(escrow(volume([{}, { password: password(15) }])));
    expect([overall(s), keys(s)]).toEqual(['COMMITTED', [['SECRET_REQUIRED', 'COMMITTED']]]);
  });

  test('the same key ID with another password keeps both and shows the conflict', async () => {
    const keyId = newGuid();
    const volumeId = newGuid();
    for (const n of [16, 17])
      expect(overall(await answer(escrow(volume([{ keyId, password: password(n) }], { volumeId }))))).toBe(
        'COMMITTED',
      );
    expect((await site.store.findKeys(keyId, 1))[0]?.conflict).toBe(true);
  });
});

describe('key packages', () => {
  test('are stored beside their password, refused empty, too large or alone', async () => {
    const s = await answer(
      escrow(
        volume([
          { password: password(20), keyPackage: randomBytes(16 * 1024) },
          { password: password(21), keyPackage: new Uint8Array() },
          { password: password(22), keyPackage: randomBytes(16 * 1024 + 1) },
          { keyPackage: randomBytes(10) },
          { password: '1', keyPackage: randomBytes(10) },
        ]),
      ),
    );
    expect(packages(s)).toEqual([
      'COMMITTED',
      'KEY_PACKAGE_EMPTY',
      'KEY_PACKAGE_TOO_LARGE',
      'KEY_PACKAGE_WITHOUT_PASSWORD',
      'KEY_PACKAGE_WITHOUT_PASSWORD',
    ]);
    expect(keys(s)[0]).toEqual([
      'COMMITTED',
      'COMMITTED',
      'COMMITTED',
      'SECRET_REQUIRED',
      'RECOVERY_PASSWORD_INVALID',
    ]);
  });
});

describe('TPM owner authorization', () => {
  const tpm = (ownerAuth?: Uint8Array): Body => ({
    type: 'ESCROW_TPM_OWNER_AUTH',
    ...(ownerAuth === undefined ? {} : { ownerAuth }),
  });
  test('of 20 bytes is stored; absent has no effect; empty and other lengths are refused', async () => {
    const before = (await site.store.counts()).keys;
    expect(await answer(tpm(randomBytes(20)))).toMatchObject({ tpmOwnerAuth: { status: 'COMMITTED' } });
    expect((await site.store.counts()).keys).toBe(before + 1);
    const absent = await answer(tpm());
    expect([overall(absent), absent.tpmOwnerAuth]).toEqual(['COMMITTED', undefined]);
    for (const length of [0, 19, 21]) {
      const s = await answer(tpm(randomBytes(length)));
      expect([overall(s), s.tpmOwnerAuth?.reason]).toEqual([
        'REJECTED ALL_ITEMS_REJECTED',
        'TPM_OWNER_AUTH_INVALID',
      ]);
    }
    expect((await site.store.counts()).keys).toBe(before + 1);
  });
});

describe('check-ins', () => {
  test('answer for each key ID whether the site can read it', async () => {
    const client = await site.client();
    const pipeline = await site.pipeline();
    const volumeId = newGuid();
    const [held, lacking] = [newGuid(), newGuid()];
    const first = await client.message(
      escrow(volume([{ keyId: held, password: password(40) }], { volumeId })),
    );
    await pipeline.processMessage(first.job, { alone: true });
    const sent = await client.message(checkIn([{ volumeId, keyIds: [held, lacking] }]));
    const s = await statementOf(sent, (await pipeline.processMessage(sent.job, { alone: true })).reply);
    expect(keys(s)).toEqual([['COMMITTED', 'SECRET_REQUIRED']]);
  });

  test('with a bad volume are PARTIAL and keep the rest', async () => {
    const good = checkIn([{ volumeId: newGuid(), keyIds: [newGuid()] }]) as Extract<
      Body,
      { type: 'CHECK_IN' }
    >;
    const s = await answer({ ...good, volumes: [...good.volumes, { ...good.volumes[0]!, volumeType: 9 }] });
    expect(overall(s)).toBe('PARTIAL ITEMS_REJECTED');
    expect(s.volumes.map((v) => v.reason)).toEqual(['NONE', 'VOLUME_DUPLICATE']);
  });

  test.each(['machineName', 'domain'])('whose %s is too long are malformed', async (field) => {
    expect(overall(await answer(checkIn([], { [field]: 'x'.repeat(257) })))).toBe('REJECTED MALFORMED');
    expect(overall(await answer(checkIn([], { [field]: '电'.repeat(256) })))).toBe('COMMITTED');
  });
});

test('a recovery password inside a label or an error text does not reach the database in the clear', async () => {
  const own = await TestSite.create();
  const [pipeline, client] = await Promise.all([own.pipeline(), own.client()]);
  const [volumeId, keyId, requestId] = [newGuid(), newGuid(), newGuid()];
  const leaked = password(4711);
  const text = `tool said ${leaked}`;
  const bodies: Body[] = [
    escrow(volume([{ keyId, password: leaked }], { volumeId, label: `E ${leaked}` })),
    checkIn([{ volumeId: newGuid(), keyIds: [] }], { lastError: { code: 5n, text, atMs: 1 } }),
    {
      type: 'ROTATION_RESULT',
      requestId: guidToBytes(requestId),
      outcome: 'FAILED',
      errorText: text.replaceAll('-', ''),
    },
  ];
  await own.store.openRotationRequest({ requestId, volumeId, keyId, deadlineMs: 1 }, 1);
  for (const body of bodies) {
    const sent = await client.message(body);
    expect((await pipeline.processMessage(sent.job, { alone: true })).reply.disposition).toBe('COMMITTED');
  }
  const stored = ['site.db', 'site.db-wal']
    .map((name) => readApart(join(own.folder, name)).toString('latin1'))
    .join();
  expect(stored).toContain('tool said [redacted]');
  expect(stored).not.toContain(leaked);
  expect(stored).not.toContain(leaked.replaceAll('-', ''));
});

describe('gates refuse items', () => {
  const withPolicy = (change: Partial<PolicyRow>): Promise<TestSite> =>
    TestSite.create({ seed: (seed) => ({ ...seed, policy: { ...seed.policy, ...change } }) });
  const everything = (): Body =>
    escrow(
      volume([{ password: password(50), keyPackage: randomBytes(30) }]),
      volume([{ password: password(51) }], { type: 'REMOVABLE' }),
    );

  test('PasswordOnly takes no packages', async () => {
    const s = await answer(everything(), await withPolicy({ storePackages: false }));
    expect([overall(s), packages(s), keys(s)]).toEqual([
      'PARTIAL ITEMS_REJECTED',
      ['POLICY_REFUSED', undefined],
      [['COMMITTED'], ['COMMITTED']],
    ]);
  });

  test('removable drives', async () => {
    const s = await answer(everything(), await withPolicy({ removableDrives: false }));
    expect([overall(s), keys(s)]).toEqual(['PARTIAL ITEMS_REJECTED', [['COMMITTED'], ['POLICY_REFUSED']]]);
  });

  test('TPM owner authorizations', async () => {
    const body: Body = { type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth: randomBytes(20) };
    const s = await answer(body, await withPolicy({ tpmOwnerAuth: false }));
    expect([overall(s), s.tpmOwnerAuth?.reason]).toEqual(['REJECTED ALL_ITEMS_REJECTED', 'POLICY_REFUSED']);
  });

  test.each(['1910', '2010'])(
    'a site of version %s takes no escrow over this channel',
    async (siteVersion) => {
      const of = await TestSite.create({
        seed: (seed) => ({ ...seed, site: { ...seed.site, siteVersion } }),
      });
      const s = await answer(everything(), of);
      expect([overall(s), keys(s)]).toEqual([
        'REJECTED ALL_ITEMS_REJECTED',
        [['VERSION_GATE'], ['VERSION_GATE']],
      ]);
    },
  );

  test('a site that consented to plain text stores it, loudly', async () => {
    const of = await TestSite.create({ plaintextConsent: true });
    expect(overall(await answer(everything(), of))).toBe('COMMITTED');
    expect(of.lines.some((line) => line['event'] === 'worker.plaintext' && line['level'] === 'warn')).toBe(
      true,
    );
    for await (const secret of of.store.streamSecrets()) expect(secret.content.form).toBe('PLAIN');
  });
});
