import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { thumbprint } from '../../src/jose/index.js';
import { parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { readBuiltCase } from '../../src/replay/built-case.js';
import { bytesValue, guidValue, idBytes } from '../../src/replay/fixture-values.js';
import { labelBytes, labelGuid, labelPassword, labelSigningKey } from '../../src/replay/labels.js';
import { mismatches } from '../../src/replay/match.js';
import { permittedOrder, type Orderable } from '../../src/replay/order.js';
import { loadFixtures } from '../../src/replay/load-fixtures.js';
import { planSet } from '../../src/replay/plan-set.js';
import { runStep } from '../../src/replay/run-step.js';
import type { ReplayTarget } from '../../src/replay/target.js';
import { SecretScanner } from '../../src/replay/scan.js';
import { secretsOf } from '../../src/replay/secrets-of.js';
import { diffDumps, hashLinesText } from '../../src/replay/site-hash.js';
import { FIXTURES } from './support.js';

describe('values from labels', () => {
  test('are what docs/fixtures.md says', () => {
    const hash = (...parts: string[]): Buffer =>
      createHash('sha256')
        .update(['mpe fixture', ...parts].join('\0'))
        .digest();
    expect(labelGuid('a', 'b').replaceAll('-', '').slice(0, 12)).toBe(
      hash('guid', 'a', 'b', '0').toString('hex').slice(0, 12),
    );
    const first = parseRecoveryPassword(labelPassword('a', 'b')).bytes;
    expect(first.equals(hash('password', 'a', 'b', '0').subarray(0, 16))).toBe(true);
    const both = Buffer.concat([hash('bytes', 'a', 'b', '0'), hash('bytes', 'a', 'b', '1')]);
    expect(labelBytes('a', 'b', 40).equals(both.subarray(0, 40))).toBe(true);
  });

  test('make good keys whose id is their thumbprint', () => {
    const key = labelSigningKey('case', 'pc/k1', thumbprint);
    expect(key.kid).toBe(thumbprint(key));
    expect(labelSigningKey('case', 'pc/k1', thumbprint)).toEqual(key);
    expect(labelSigningKey('case', 'pc/k2', thumbprint).kid).not.toBe(key.kid);
  });

  test.each([
    '{EF31AC50-CA1F-47EB-A9DC-C5A4043EA4B0}',
    'EF31AC50CA1F47EBA9DCC5A4043EA4B0',
    'urn:uuid:ef31ac50-ca1f-47eb-a9dc-c5a4043ea4b0',
    'le-hex:50ac31ef1fcaeb47a9dcc5a4043ea4b0',
    'le-base64:UKwx7x/K60ep3MWkBD6ksA==',
    'le-decimal:80 172 49 239 31 202 235 71 169 220 197 164 4 62 164 176',
  ])('%s is one GUID', (text) => {
    expect(guidValue('x', text)).toBe('ef31ac50-ca1f-47eb-a9dc-c5a4043ea4b0');
  });

  test('raw bytes keep their length', () => {
    expect(idBytes('x', 'hex:0011')).toHaveLength(2);
    expect(idBytes('x', 'nil').equals(Buffer.alloc(16))).toBe(true);
    expect(bytesValue('x', { bytes: 9000 })).toHaveLength(9000);
    expect(() => bytesValue('x', 'plain')).toThrow(/hex:/);
  });
});

describe('matching', () => {
  test('is exact but for matchers and open names', () => {
    const got = { a: 1, b: ['x', 'y'], n: '7', extra: true };
    expect(mismatches('r', { a: 1, b: ['x', 'y'], n: '7' }, got)).toEqual([
      { path: 'r.extra', expected: '(absent)', got: 'true' },
    ]);
    expect(mismatches('r', { a: 1, b: ['x', 'y'], n: '7' }, got, new Set(['extra']))).toEqual([]);
    const loose = {
      a: { $oneOf: [2, 1] },
      b: { $unordered: ['y', 'x'] },
      n: { $atLeast: '7' },
      extra: '$present',
      z: '$any',
    };
    expect(mismatches('r', loose, got)).toEqual([]);
  });

  test.each([
    [{ $oneOf: [2, 3] }, 1],
    [{ $atLeast: '8' }, '7'],
    [{ $atLeast: '9007199254740993' }, '9007199254740992'],
    [{ $unordered: ['a', 'a'] }, ['a', 'b']],
    ['$present', undefined],
    [[1, 2], [1]],
    [{ a: 1 }, null],
  ])('%j does not match %j', (expected, got) => {
    expect(mismatches('r', expected, got)).not.toEqual([]);
  });
});

describe('orders', () => {
  const items = fc
    .uniqueArray(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 20 })
    .chain((ids) =>
      fc.tuple(
        ...ids.map((id, i) =>
          fc
            .subarray(ids.slice(0, i))
            .map((after): Orderable => ({ key: String(id), after: after.map(String) })),
        ),
      ),
    );

  test('keep every "after", lose nothing, and repeat by their seed', () => {
    fc.assert(
      fc.property(
        items,
        fc.constantFrom('source' as const, 'reverse' as const, 'seed' as const),
        fc.nat(),
        (list, kind, seed) => {
          const order = permittedOrder(list, kind, seed).map((item) => item.key);
          expect([...order].sort()).toEqual(list.map((item) => item.key).sort());
          for (const { key, after } of list)
            for (const other of after) expect(order.indexOf(other)).toBeLessThan(order.indexOf(key));
          expect(permittedOrder(list, kind, seed).map((item) => item.key)).toEqual(order);
        },
      ),
    );
  });

  test('source is as written, reverse is backwards, seeds differ', () => {
    const list = Array.from({ length: 10 }, (_, i) => ({ key: String(i), after: i === 9 ? ['0'] : [] }));
    const keys = (kind: 'source' | 'reverse' | 'seed', seed = 0): string =>
      permittedOrder(list, kind, seed)
        .map((i) => i.key)
        .join('');
    expect(keys('source')).toBe('0123456789');
    expect(keys('reverse')).toBe('8765432109');
    expect(keys('seed', 1)).not.toBe(keys('seed', 2));
    expect(() =>
      permittedOrder(
        [
          { key: 'a', after: ['b'] },
          { key: 'b', after: ['a'] },
        ],
        'source',
        0,
      ),
    ).toThrow(/circle/);
  });
});

describe('searching for secrets', () => {
  const fixtures = loadFixtures(FIXTURES).map(({ fixture }) => fixture);
  const canary = secretsOf(fixtures.find((f) => f.name === 'canary')!);
  const password = canary.find((s) => s.kind === 'RECOVERY_PASSWORD' && s.value !== null)!;
  const keyPackage = canary.find((s) => s.kind === 'KEY_PACKAGE')!.value!;

  test.each([
    ['digits', Buffer.from(`x ${password.text} y`)],
    ['digits without hyphens', Buffer.from(password.text.replaceAll('-', ''))],
    ['UTF-16', Buffer.from(password.text, 'utf16le')],
    ['base64, first alignment', Buffer.from(Buffer.from(password.text).toString('base64'))],
    ['base64, second alignment', Buffer.from(Buffer.from(`a${password.text}`).toString('base64'))],
    ['base64, third alignment', Buffer.from(Buffer.from(`ab${password.text}z`).toString('base64'))],
    ['its 16 bytes', Buffer.concat([Buffer.from('abc'), password.value!, Buffer.from('def')])],
    ['hex', Buffer.from(password.value!.toString('hex'))],
    ['a package', keyPackage],
    [
      'a package in base64url',
      Buffer.from(Buffer.concat([Buffer.from('{'), keyPackage]).toString('base64url')),
    ],
  ])('finds %s', (_, data) => {
    const scanner = new SecretScanner(fixtures);
    scanner.scan('here', data);
    expect(scanner.findings.length).toBeGreaterThan(0);
    expect(JSON.stringify(scanner.findings)).not.toContain(password.text.slice(0, 13));
  });

  test('finds nothing in what is none, zeros included', () => {
    const scanner = new SecretScanner(fixtures);
    scanner.scan('here', Buffer.alloc(100_000));
    scanner.scan('here', Buffer.from('0'.repeat(1000)));
    scanner.scan('here', labelBytes('noise', 'noise', 100_000));
    expect(scanner.findings).toEqual([]);
    expect(scanner.scanned).toBe(201_000);
    expect(() => scanner.scanPath('/no/such/path')).toThrow(/cannot be searched/);
  });
});

describe('site dumps', () => {
  test('have one hash for the same lines and a readable difference', () => {
    expect(hashLinesText(['a\tb', 'c'])).toBe(createHash('sha256').update('a\tb\nc\n').digest('hex'));
    expect(diffDumps(['keys\t1', 'keys\t2'], ['keys\t2', 'keys\t3'])).toEqual(['- keys 1', '+ keys 3']);
  });
});

test('an engine that throws is the mismatch of its step, not the end of the replay', async () => {
  const { file, fixture } = loadFixtures(FIXTURES).find((one) => one.fixture.name === 'canary')!;
  const ready = { file, fixture, built: readBuiltCase(FIXTURES, 'canary')! };
  const [planned] = planSet([ready], 'source', 1, 'in-process');
  const thrown = (): Promise<never> => Promise.reject(new TypeError('no such thing'));
  const target: ReplayTarget = {
    ...{ kind: 'in-process', register: thrown, send: thrown },
    keysWritten: () => null,
    close: () => Promise.resolve(),
  };
  const context = { target, operator: null, scanner: new SecretScanner([]), pass: 1 };
  const { mismatches: found } = await runStep(planned!, context);
  expect(found).toEqual([
    { path: 'answer', expected: 'an answer', got: 'the engine threw TypeError: no such thing' },
  ]);
});
