import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { guidFromBytes, guidToBytes, newGuid, NIL_GUID, parseGuid } from '../../src/protocol/guid.js';
import { bytes } from './arbitraries.js';

const forms = JSON.parse(
  readFileSync(new URL('../fixtures/inputs/d-exports/guid-forms.json', import.meta.url), 'utf8'),
) as { guid: string; forms: { form: string; v: string }[] };
const canonical = forms.guid.toLowerCase();
const accepted = new Set(['registry', 'lower no braces', '32 hex in reading order', 'urn']);

describe('GUID', () => {
  it.each(forms.forms.filter(({ form }) => accepted.has(form)))('reads the form "$form"', ({ v }) => {
    expect(parseGuid(v)).toBe(canonical);
    expect(parseGuid(v.toUpperCase())).toBe(canonical);
    expect(parseGuid(` ${v}\r\n`)).toBe(canonical);
  });

  it('reads 32 hex digits in reading order, so little-endian bytes give another GUID', () => {
    const raw = forms.forms.find(({ form }) => form.startsWith('32 hex of little-endian'))!.v;
    expect(parseGuid(raw)).not.toBe(canonical);
  });

  it.each(
    forms.forms.filter(({ form }) => !accepted.has(form) && !form.startsWith('32 hex of little-endian')),
  )('refuses the form "$form"', ({ v }) => {
    expect(() => parseGuid(v)).toThrow(/32 hex digits/);
  });

  it.each([
    '',
    '{}',
    `{${canonical}`,
    `${canonical}}`,
    `(${canonical})`,
    `${canonical}0`,
    canonical.slice(1),
  ])('refuses "%s"', (text) => {
    expect(() => parseGuid(text)).toThrow(/32 hex digits/);
  });

  it('refuses hyphens in some places only', () => {
    expect(() => parseGuid(canonical.replace('-', ''))).toThrow(/32 hex digits/);
  });

  it('refuses the all-zero GUID, as text and as bytes', () => {
    expect(() => parseGuid(NIL_GUID)).toThrow(/all-zero/);
    expect(() => guidFromBytes(Buffer.alloc(16))).toThrow(/all-zero/);
  });

  it('has its bytes in network order', () => {
    expect(guidToBytes(parseGuid('00112233-4455-6677-8899-aabbccddeeff')).toString('hex')).toBe(
      '00112233445566778899aabbccddeeff',
    );
  });

  it.each([0, 15, 17])('refuses %i bytes', (length) => {
    expect(() => guidFromBytes(Buffer.alloc(length, 1))).toThrow(/16 bytes/);
  });

  it('goes from bytes to text and back, also from the middle of a buffer', () => {
    fc.assert(
      fc.property(
        bytes(16).filter((b) => b.some((x) => x !== 0)),
        (value) => {
          const padded = Buffer.concat([Buffer.alloc(3, 9), value, Buffer.alloc(3, 9)]);
          expect(guidToBytes(guidFromBytes(padded.subarray(3, 19))).equals(value)).toBe(true);
        },
      ),
    );
  });

  it('makes version 4 GUIDs', () => {
    expect(newGuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
