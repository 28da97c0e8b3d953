import { describe, expect, test } from 'vitest';
import { NIL_GUID } from '../../src/protocol/guid.js';
import { parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { associatedData } from '../../src/secrets/associated-data.js';
import { FingerprintKey } from '../../src/secrets/fingerprint.js';
import { identify } from '../../src/secrets/secret-identity.js';
import { guid } from './site.js';

const KEY = new FingerprintKey(guid(9), Buffer.alloc(32, 7));
const PASSWORD = '000000-011011-022022-033033-044044-055055-066066-077077';
const value = parseRecoveryPassword(PASSWORD).bytes;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('fingerprints', () => {
  test('are equal for one value in every notation', () => {
    const forms = [PASSWORD, PASSWORD.replaceAll('-', ' '), PASSWORD.replaceAll('-', ''), `  ${PASSWORD}\n`];
    const prints = forms.map((form) =>
      hex(KEY.fingerprint('RECOVERY_PASSWORD', guid(1), parseRecoveryPassword(form).bytes)),
    );
    expect(new Set(prints).size).toBe(1);
  });

  test('differ by key, kind, key ID and value', () => {
    const other = new FingerprintKey(guid(9), Buffer.alloc(32, 8));
    const changed = Buffer.from(value);
    changed[15] = (changed[15] ?? 0) ^ 1;
    const prints = [
      KEY.fingerprint('RECOVERY_PASSWORD', guid(1), value),
      other.fingerprint('RECOVERY_PASSWORD', guid(1), value),
      KEY.fingerprint('KEY_PACKAGE', guid(1), value),
      KEY.fingerprint('RECOVERY_PASSWORD', guid(2), value),
      KEY.fingerprint('RECOVERY_PASSWORD', guid(1), changed),
    ].map(hex);
    expect(new Set(prints).size).toBe(5);
  });

  test('stay what they are: stored ones must compare for ever', () => {
    expect(hex(KEY.fingerprint('RECOVERY_PASSWORD', guid(1), value))).toMatchInlineSnapshot(
      `"743a70f8b5e3dc5c3a74c7a90983da07efd1d9f70ba48c70cd52add4e50dcf48"`,
    );
  });

  test('a key of another length is refused', () => {
    expect(() => new FingerprintKey(guid(9), Buffer.alloc(31))).toThrow(/32 bytes/);
  });
});

describe('identity', () => {
  const base = identify(KEY, 'RECOVERY_PASSWORD', guid(1), guid(2), value);

  test('is the same for the same secret, whoever sends it', () => {
    expect(identify(KEY, 'RECOVERY_PASSWORD', guid(1), guid(2), Buffer.from(value))).toEqual(base);
    expect(base.secretId).toHaveLength(32);
  });

  test('differs by kind, key ID, volume, fingerprint key and value', () => {
    const others = [
      identify(KEY, 'KEY_PACKAGE', guid(1), guid(2), value),
      identify(KEY, 'RECOVERY_PASSWORD', guid(3), guid(2), value),
      identify(KEY, 'RECOVERY_PASSWORD', guid(1), guid(3), value),
      identify(
        new FingerprintKey(guid(8), Buffer.alloc(32, 7)),
        'RECOVERY_PASSWORD',
        guid(1),
        guid(2),
        value,
      ),
      identify(KEY, 'RECOVERY_PASSWORD', guid(1), guid(2), Buffer.alloc(16)),
    ];
    expect(new Set([base, ...others].map((identity) => hex(identity.secretId))).size).toBe(6);
  });

  test('of an owner authorization stands on the client id and no volume', () => {
    const identity = identify(KEY, 'TPM_OWNER_AUTH', guid(5), NIL_GUID, Buffer.alloc(20, 1));
    expect(identity).toMatchObject({ kind: 'TPM_OWNER_AUTH', keyId: guid(5), volumeId: NIL_GUID });
  });

  test('stays what it is: it is a primary key', () => {
    expect(hex(base.secretId)).toMatchInlineSnapshot(
      `"ce11e8d4ddef91135270a7854b22c175cd2337d0ba0d40fa08cbed21fb667561"`,
    );
  });
});

test('associated data is 66 fixed bytes in the documented order', () => {
  const data = associatedData({
    siteGuid: guid(1),
    kind: 'KEY_PACKAGE',
    keyId: guid(2),
    volumeId: guid(3),
    dataKeyId: guid(4),
  });
  const bytes = (n: number): string => guid(n).replaceAll('-', '');
  expect(hex(data)).toBe(`01${bytes(1)}02${bytes(2)}${bytes(3)}${bytes(4)}`);
  expect(data).toHaveLength(66);
});
