import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStrictObject } from '../../src/jose/strict-json.js';

describe('strict JSON', () => {
  it('reads every object as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const text = JSON.stringify(value, null, 1);
        expect({ ...parseStrictObject(text) }).toEqual(JSON.parse(text));
      }),
    );
  });

  it('finds any name that stands twice, at any depth', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), fc.jsonValue(), fc.nat(5), (name, a, b, depth) => {
        const key = JSON.stringify(name);
        let text = `{${key}:${JSON.stringify(a)}, ${key} :${JSON.stringify(b)}}`;
        for (let i = 0; i < depth; i += 1) text = i % 2 === 0 ? `{"x":[${text}]}` : `{"y":${text}}`;
        expect(() => parseStrictObject(text)).toThrow(/twice/);
      }),
    );
  });

  it.each([
    ['a name as a value too', '{"a":"a","b":"a"}'],
    ['the same name in two objects', '{"a":{"x":1},"b":{"x":1}}'],
    ['the same name in a list of objects', '{"a":[{"x":1},{"x":1}],"x":1}'],
    ['a colon in a value', '{"a":":","b":"a:"}'],
    ['quotes and braces in a value', '{"a":"\\"}{","b":"{\\"a\\":1}"}'],
  ])('is not confused by %s', (_, text) => {
    expect({ ...parseStrictObject(text) }).toEqual(JSON.parse(text));
  });

  it.each(['null', '[]', '1', '"x"', 'true', ''])('refuses %s', (text) => {
    expect(() => parseStrictObject(text)).toThrow();
  });

  it('has no names of the prototype', () => {
    const object = parseStrictObject('{"a":1}');
    expect(object.constructor).toBeUndefined();
    expect('toString' in object).toBe(false);
  });
});
