import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { seal } from '../../src/jose/index.js';
import type { Clock } from '../../src/ops/clock.js';
import { MpeError } from '../../src/ops/errors.js';
import { DATA_KEY_LIMITS, DataKeyRing, type DataKeyLimits } from '../../src/secrets/data-key-ring.js';
import { FingerprintKey } from '../../src/secrets/fingerprint.js';
import { FileKeeper } from '../../src/secrets/certificate-keeper.js';
import { SecretOpener } from '../../src/secrets/open-secret.js';
import { identify } from '../../src/secrets/secret-identity.js';
import type { DataKeyRow, SecretForm, SecretIdentity } from '../../src/secrets/types.js';
import { guid, NOW, testSite, type TestSite } from './site.js';

const FINGERPRINT_KEY = new FingerprintKey(guid(9), Buffer.alloc(32, 7));
const VALUE = Buffer.from('000000-011011-022022-033033-044044-055055-066066-077077');
const IDENTITY = identify(FINGERPRINT_KEY, 'KEY_PACKAGE', guid(1), guid(2), VALUE);

let site: TestSite;
/** Another site's, with a certificate of its own. */
let other: TestSite;

beforeAll(async () => {
  site = await testSite();
  const fresh = await (await import('../../src/secrets/create-certificate.js')).createCertificate(NOW);
  other = await testSite({ siteGuid: guid(77), certificate: fresh });
}, 120_000);

type Sealed = Extract<SecretForm, { form: 'SEALED' }>;

/** A ring that keeps its rows, and a clock to turn. */
function ringOf(options: { limits?: DataKeyLimits; persist?: (row: DataKeyRow) => Promise<void> } = {}) {
  const rows: DataKeyRow[] = [];
  const clock: Clock & { at: number } = { at: NOW, now: () => clock.at };
  const certificate = site.keys.certificate();
  if (certificate === null) throw new Error('the test site has a certificate');
  const ring = new DataKeyRing({
    siteGuid: site.keys.siteGuid,
    certificate,
    clock,
    by: 'worker-1',
    persist: options.persist ?? (async (row) => void rows.push(await Promise.resolve(row))),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const encrypt = async (): Promise<Sealed> => {
    const content = await ring.encrypt(IDENTITY, VALUE);
    if (content.form !== 'SEALED') throw new Error('not sealed');
    return content;
  };
  return { ring, rows, clock, encrypt };
}

const openerOf = (rows: readonly DataKeyRow[], from: TestSite = site, siteGuid = site.keys.siteGuid) =>
  FileKeeper.open(from.keys.path).then((keeper) => new SecretOpener({ siteGuid, keeper, dataKeys: rows }));

/** Why a secret does not open. */
async function refusal(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    if (error instanceof MpeError && error.code === 'SECRET_UNREADABLE') return error.facts['reason'];
    throw error;
  }
  return 'opened';
}

describe('a data key', () => {
  test('is made on first use, and not before', async () => {
    const { rows, encrypt } = ringOf();
    expect(rows).toHaveLength(0);
    const first = await encrypt();
    const second = await encrypt();
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      dataKeyId: first.dataKeyId,
      certificateThumbprint: site.document.certificateThumbprint,
      createdAtMs: NOW,
      createdBy: 'worker-1',
    });
    expect(second.dataKeyId).toBe(first.dataKeyId);
  });

  test('is stored before anything is encrypted with it', async () => {
    let release: () => void = () => undefined;
    const stored = new Promise<void>((resolve) => (release = resolve));
    let asked: () => void = () => undefined;
    const persisting = new Promise<void>((resolve) => (asked = resolve));
    const { encrypt } = ringOf({
      persist: async () => {
        asked();
        await stored;
      },
    });
    let encrypted = false;
    const work = encrypt().then(() => (encrypted = true));
    await persisting;
    await new Promise((resolve) => setImmediate(resolve));
    expect(encrypted).toBe(false);
    release();
    await work;
    expect(encrypted).toBe(true);
  });

  test('is one, however many secrets ask for it at once', async () => {
    const { rows, encrypt } = ringOf();
    const all = await Promise.all(Array.from({ length: 50 }, () => encrypt()));
    expect(rows).toHaveLength(1);
    expect(new Set(all.map((content) => content.dataKeyId)).size).toBe(1);
  });

  test('that could not be stored is not used; the next call makes another', async () => {
    const rows: DataKeyRow[] = [];
    let fail = true;
    const { encrypt } = ringOf({
      persist: (row) => {
        if (fail) return Promise.reject(new MpeError('STORE_TRANSIENT', 'busy'));
        rows.push(row);
        return Promise.resolve();
      },
    });
    const results = await Promise.allSettled([encrypt(), encrypt()]);
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected']);
    fail = false;
    expect((await encrypt()).dataKeyId).toBe(rows[0]?.dataKeyId);
    expect(rows).toHaveLength(1);
  });

  test('ends after its uses, also when many ask at once', async () => {
    const { rows, encrypt } = ringOf({ limits: { maxAgeMs: DATA_KEY_LIMITS.maxAgeMs, maxUses: 3 } });
    const all = await Promise.all(Array.from({ length: 8 }, () => encrypt()));
    const uses = rows.map((row) => all.filter((content) => content.dataKeyId === row.dataKeyId).length);
    expect(uses).toEqual([3, 3, 2]);
  });

  test('ends at 24 hours, not a millisecond before', async () => {
    const { rows, clock, encrypt } = ringOf();
    await encrypt();
    clock.at = NOW + 24 * 3_600_000 - 1;
    await encrypt();
    expect(rows).toHaveLength(1);
    clock.at = NOW + 24 * 3_600_000;
    await encrypt();
    expect(rows).toHaveLength(2);
  });

  test('ends where the clock steps back by more than a minute', async () => {
    const { rows, clock, encrypt } = ringOf();
    await encrypt();
    clock.at = NOW - 30_000;
    await encrypt();
    expect(rows).toHaveLength(1);
    clock.at = NOW - 60_000;
    await encrypt();
    expect(rows).toHaveLength(2);
  });

  test('has the limits of the design', () => {
    expect(DATA_KEY_LIMITS).toEqual({ maxAgeMs: 86_400_000, maxUses: 1_073_741_824 });
  });

  test('differs between rings: a restart makes a new one', async () => {
    const [a, b] = [ringOf(), ringOf()];
    expect((await a.encrypt()).dataKeyId).not.toBe((await b.encrypt()).dataKeyId);
  });
});

describe('a stored secret', () => {
  test('opens with the certificate, byte for byte, empty and large ones too', async () => {
    const { ring, rows } = ringOf();
    await ring.prepare();
    const opener = await openerOf(rows);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 20_000 }), async (bytes) => {
        const content = await ring.encrypt(IDENTITY, bytes);
        expect(await opener.open(IDENTITY, content)).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 50 },
    );
  });

  test('never has the same ciphertext twice, and holds no plaintext', async () => {
    const { encrypt } = ringOf();
    const [a, b] = [await encrypt(), await encrypt()];
    expect(Buffer.from(a.bytes).equals(Buffer.from(b.bytes))).toBe(false);
    expect(Buffer.from(a.bytes).includes(VALUE.subarray(0, 8))).toBe(false);
    expect(a.bytes).toHaveLength(1 + 12 + VALUE.length + 16);
  });

  test('does not open anywhere else: other kind, key ID, volume, site, data key', async () => {
    const { ring, rows, clock } = ringOf();
    const content = await ring.encrypt(IDENTITY, VALUE);
    clock.at += DATA_KEY_LIMITS.maxAgeMs;
    await ring.encrypt(IDENTITY, VALUE);
    const opener = await openerOf(rows);
    const moved: readonly SecretIdentity[] = [
      { ...IDENTITY, kind: 'RECOVERY_PASSWORD' },
      { ...IDENTITY, keyId: guid(5) },
      { ...IDENTITY, volumeId: guid(5) },
    ];
    for (const identity of moved) {
      expect(await refusal(opener.open(identity, content))).toBe('CIPHERTEXT_DAMAGED');
    }
    const swapped = { ...content, dataKeyId: rows[1]?.dataKeyId ?? guid(0) } as Sealed;
    expect(await refusal(opener.open(IDENTITY, swapped))).toBe('CIPHERTEXT_DAMAGED');
    const elsewhere = await openerOf(rows, site, guid(99));
    expect(await refusal(elsewhere.open(IDENTITY, content))).toBe('DATA_KEY_DAMAGED');
    expect(await opener.open(IDENTITY, content)).toEqual(VALUE);
  });

  test('does not open with any bit flipped, nor cut', async () => {
    const { rows, encrypt } = ringOf();
    const content = await encrypt();
    const opener = await openerOf(rows);
    for (let bit = 0; bit < content.bytes.length * 8; bit += 1) {
      const bytes = Buffer.from(content.bytes);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(await refusal(opener.open(IDENTITY, { ...content, bytes })), `bit ${bit}`).toBe(
        'CIPHERTEXT_DAMAGED',
      );
    }
    for (const length of [0, 1, 13, 28, content.bytes.length - 1]) {
      const bytes = content.bytes.subarray(0, length);
      expect(await refusal(opener.open(IDENTITY, { ...content, bytes }))).toBe('CIPHERTEXT_DAMAGED');
    }
  });

  test('of a data key that is unknown, swapped, damaged or of another certificate says which', async () => {
    const { ring, rows, clock } = ringOf();
    const content = (await ring.encrypt(IDENTITY, VALUE)) as Sealed;
    clock.at += DATA_KEY_LIMITS.maxAgeMs;
    await ring.encrypt(IDENTITY, VALUE);
    const [row, second] = rows as [DataKeyRow, DataKeyRow];
    const attempt = async (dataKeys: readonly DataKeyRow[], from = site): Promise<unknown> =>
      refusal((await openerOf(dataKeys, from)).open(IDENTITY, content));

    expect(await attempt([row])).toBe('opened');
    expect(await attempt([])).toBe('DATA_KEY_UNKNOWN');
    expect(await attempt([{ ...row, wrapped: second.wrapped }])).toBe('DATA_KEY_DAMAGED');
    const middle = Math.floor(row.wrapped.length / 2);
    const flipped = row.wrapped[middle] === 'A' ? 'B' : 'A';
    const damaged = row.wrapped.slice(0, middle) + flipped + row.wrapped.slice(middle + 1);
    expect(await attempt([{ ...row, wrapped: damaged }])).toBe('DATA_KEY_DAMAGED');
    expect(await attempt([row], other)).toBe('CERTIFICATE_OTHER');
    const relabelled = { ...row, certificateThumbprint: other.document.certificateThumbprint ?? '' };
    expect(await attempt([relabelled], other)).toBe('DATA_KEY_DAMAGED');
    const certificate = site.keys.certificate();
    const short = await seal(Buffer.alloc(32), certificate!.publicJwk, 'mpe-dk');
    expect(await attempt([{ ...row, wrapped: short }])).toBe('DATA_KEY_DAMAGED');
  });

  test('in plain text opens as it is; a sealed one on a site without a certificate says why not', async () => {
    const opener = new SecretOpener({
      siteGuid: site.keys.siteGuid,
      keeper: await FileKeeper.of([]),
      dataKeys: [],
    });
    expect(await opener.open(IDENTITY, { form: 'PLAIN', bytes: VALUE })).toEqual(VALUE);
    const sealed = { form: 'SEALED', dataKeyId: guid(1), bytes: VALUE } as const;
    expect(await refusal(opener.open(IDENTITY, sealed))).toBe('NO_CERTIFICATE');
  });

  test('is told apart by no error text that holds it', async () => {
    const { rows, encrypt } = ringOf();
    const content = await encrypt();
    const opener = await openerOf(rows);
    const error: unknown = await opener
      .open({ ...IDENTITY, keyId: guid(5) }, content)
      .catch((e: unknown) => e);
    expect(String((error as Error).stack)).not.toContain(VALUE.toString());
  });
});
