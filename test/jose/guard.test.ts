import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import jose from 'node-jose';
import { describe, expect, it, vi } from 'vitest';
import { guard, open, seal, sign, TOKEN_RULES, verify, type TokenType } from '../../src/jose/index.js';
import { isMpeError } from '../../src/ops/errors.js';
import { b64, headerOf, testKeys, withPart } from './keys.js';

const keys = await testKeys();
const rsaToken = await seal('payload', keys.sealingTo['RSA-OAEP-256'], 'mpe-env');
const ecdhToken = await seal('payload', keys.sealingTo['ECDH-ES+A256KW'], 'mpe-env');
const signed = await sign(Buffer.from('payload'), keys.signing, 'mpe-msg+jws');
const kid = keys.rsa.kid;
const good = { alg: 'RSA-OAEP-256', enc: 'A256GCM', typ: 'mpe-env', kid };
const goodJws = { alg: 'ES256', typ: 'mpe-msg+jws', kid: keys.signing.kid };
const epk = headerOf(ecdhToken)['epk'] as Record<string, string>;

/** The RSA token with another header: its other parts stay those of a real token. */
const jwe = (header: unknown): string => withPart(rsaToken, 0, b64(header));
const ecdh = (change: unknown): string =>
  withPart(ecdhToken, 0, b64({ ...headerOf(ecdhToken), epk: change }));
const jws = (header: unknown): string => withPart(signed, 0, b64(header));
const without = (header: object, name: string): object =>
  Object.fromEntries(Object.entries(header).filter(([key]) => key !== name));
const jwk = keys.sealingTo['RSA-OAEP-256'];
const hs256 = ((): string => {
  // The classic confusion: HMAC with the public key's text as the secret.
  const input = `${b64({ ...goodJws, alg: 'HS256' })}.${b64('payload')}`;
  return `${input}.${createHmac('sha256', JSON.stringify(keys.sealingTo)).update(input).digest('base64url')}`;
})();

/** [what it is, the token, what the operator's log says] */
const sealedTokens: [string, string, RegExp][] = [
  ['alg none', jwe({ ...good, alg: 'none' }), /alg "none"/],
  ['RSA1_5', jwe({ ...good, alg: 'RSA1_5' }), /alg "RSA1_5"/],
  ['RSA-OAEP with SHA-1', jwe({ ...good, alg: 'RSA-OAEP' }), /alg "RSA-OAEP"/],
  ['RSA-OAEP-512', jwe({ ...good, alg: 'RSA-OAEP-512' }), /alg/],
  ['ECDH-ES direct', jwe({ ...good, alg: 'ECDH-ES', epk }), /alg/],
  ['ECDH-ES+A128KW', jwe({ ...good, alg: 'ECDH-ES+A128KW', epk }), /alg/],
  [
    'PBES2 with a count of five million',
    jwe({ ...good, alg: 'PBES2-HS512+A256KW', p2c: 5e6, p2s: 'AA' }),
    /alg/,
  ],
  ['p2c beside a good alg', jwe({ ...good, p2c: 5e6 }), /"p2c"/],
  ['dir, which is for replies alone', jwe({ ...good, alg: 'dir' }), /alg "dir"/],
  ['dir with an empty encrypted key', withPart(jwe({ ...good, alg: 'dir' }), 1, ''), /alg "dir"/],
  ['A256KW', jwe({ ...good, alg: 'A256KW' }), /alg/],
  ['A256GCMKW', jwe({ ...good, alg: 'A256GCMKW', iv: 'AA', tag: 'AA' }), /alg/],
  ['alg in small letters', jwe({ ...good, alg: 'rsa-oaep-256' }), /alg/],
  ['alg as a list', jwe({ ...good, alg: ['RSA-OAEP-256'] }), /alg/],
  ['no alg', jwe(without(good, 'alg')), /alg missing/],
  ['enc A128GCM', jwe({ ...good, enc: 'A128GCM' }), /enc "A128GCM"/],
  ['enc A256CBC-HS512', jwe({ ...good, enc: 'A256CBC-HS512' }), /enc/],
  ['no enc', jwe(without(good, 'enc')), /"enc" is missing/],
  ['zip DEF', jwe({ ...good, zip: 'DEF' }), /"zip"/],
  ['zip null', jwe({ ...good, zip: null }), /"zip"/],
  ['crit', jwe({ ...good, crit: ['exp'], exp: 1 }), /"crit"|"exp"/],
  ['an empty crit', jwe({ ...good, crit: [] }), /"crit"/],
  ['b64', jwe({ ...good, b64: false }), /"b64"/],
  ['an embedded jwk', jwe({ ...good, jwk }), /"jwk"/],
  ['jku', jwe({ ...good, jku: 'https://attacker.test/keys' }), /"jku"/],
  ['x5u', jwe({ ...good, x5u: 'https://attacker.test/cert' }), /"x5u"/],
  ['x5c', jwe({ ...good, x5c: ['AA'] }), /"x5c"/],
  ['x5t', jwe({ ...good, x5t: 'AA' }), /"x5t"/],
  ['cty', jwe({ ...good, cty: 'JWT' }), /"cty"/],
  ['apu', jwe({ ...good, apu: 'AA' }), /"apu"/],
  ['a name of the prototype', jwe({ ...good, constructor: 'x' }), /"constructor"/],
  ['__proto__', jwe(JSON.stringify(good).replace('{', '{"__proto__":{"kid":"x"},')), /"__proto__"/],
  ['no kid', jwe(without(good, 'kid')), /"kid" is missing/],
  ['an empty kid', jwe({ ...good, kid: '' }), /kid/],
  ['a number as kid', jwe({ ...good, kid: 1 }), /kid/],
  ['a kid that would break a log line', jwe({ ...good, kid: `${'a'.repeat(42)}\n` }), /kid/],
  ['a kid of 44 characters', jwe({ ...good, kid: `${kid}A` }), /kid/],
  ['no typ', jwe(without(good, 'typ')), /typ is missing/],
  ['the typ of another place', jwe({ ...good, typ: 'mpe-dk' }), /typ is "mpe-dk"/],
  ['typ in capitals', jwe({ ...good, typ: 'MPE-ENV' }), /typ/],
  ['typ as a list', jwe({ ...good, typ: ['mpe-env'] }), /typ/],
  ['epk with RSA', jwe({ ...good, epk }), /"epk"/],
  ['ECDH without epk', withPart(ecdhToken, 0, b64(without(headerOf(ecdhToken), 'epk'))), /"epk" is missing/],
  ['epk null', ecdh(null), /epk is not an object/],
  ['epk as a list', ecdh([epk]), /epk is not an object/],
  ['epk as text', ecdh('epk'), /epk is not an object/],
  ['epk off the curve', ecdh({ ...epk, y: epk['x'] }), /not a point/],
  ['epk 0, 0', ecdh({ ...epk, x: 'A'.repeat(43), y: 'A'.repeat(43) }), /not a point/],
  ['epk above the prime', ecdh({ ...epk, x: Buffer.alloc(32, 0xff).toString('base64url') }), /not a point/],
  ['epk of 31 bytes', ecdh({ ...epk, x: Buffer.alloc(31, 1).toString('base64url') }), /not a point/],
  ['epk on P-384', ecdh({ ...epk, crv: 'P-384' }), /P-256/],
  ['epk on X25519', ecdh({ kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) }), /exactly/],
  ['epk with a private part', ecdh({ ...epk, d: epk['x'] }), /exactly/],
  ['epk with padding', ecdh({ ...epk, x: `${String(epk['x'])}=` }), /not a point/],
  ['null as header', withPart(rsaToken, 0, b64('null')), /not a JSON object/],
  ['a list as header', withPart(rsaToken, 0, b64([good])), /not a JSON object/],
  ['a text as header', withPart(rsaToken, 0, b64('"x"')), /not a JSON object/],
  ['no JSON as header', withPart(rsaToken, 0, b64('{alg:1}')), /not JSON/],
  ['JSON with something behind it', withPart(rsaToken, 0, b64(`${JSON.stringify(good)}x`)), /not JSON/],
  ['an empty header', withPart(rsaToken, 0, ''), /header is empty/],
  ['an empty object as header', jwe({}), /typ is missing/],
  [
    'a header that is not UTF-8',
    withPart(rsaToken, 0, Buffer.from([0xff, 0xfe]).toString('base64url')),
    /UTF-8/,
  ],
  ['a byte order mark', withPart(rsaToken, 0, b64(`\ufeff${JSON.stringify(good)}`)), /not JSON/],
  ['a huge header', jwe({ ...good, kid: 'k'.repeat(2000) }), /more than 1024 bytes/],
  ['a deeply nested header', withPart(rsaToken, 0, b64('['.repeat(700))), /not JSON/],
  ['alg twice', withPart(rsaToken, 0, b64(`{"alg":"none",${JSON.stringify(good).slice(1)}`)), /stands twice/],
  [
    'kid twice, the second escaped',
    withPart(rsaToken, 0, b64(JSON.stringify(good).replace('}', ',"\\u006bid":"x"}'))),
    /stands twice/,
  ],
  [
    'a name twice inside epk',
    withPart(ecdhToken, 0, b64(JSON.stringify(headerOf(ecdhToken)).replace('"kty"', '"x":"A","kty"'))),
    /stands twice/,
  ],
  ['four parts', rsaToken.split('.').slice(0, 4).join('.'), /fewer than 5/],
  ['six parts', `${rsaToken}.AA`, /more than 5/],
  ['a dot at the end', `${rsaToken}.`, /more than 5/],
  ['a thousand dots', '.'.repeat(1000), /more than 5/],
  ['nothing', '', /fewer than 5/],
  ['a signed token', signed, /fewer than 5/],
  ['padding', withPart(rsaToken, 4, `${rsaToken.split('.')[4]!}==`), /part 5 is not strict/],
  [
    'junk behind the ciphertext',
    withPart(rsaToken, 3, `${rsaToken.split('.')[3]!}!!`),
    /part 4 is not strict/,
  ],
  ['a blank in the key', withPart(rsaToken, 1, ` ${rsaToken.split('.')[1]!}`), /part 2 is not strict/],
  ['a line end behind the token', `${rsaToken}\n`, /part 5 is not strict/],
  ['base64 in place of base64url', withPart(rsaToken, 2, 'ab+/ab+/ab+/ab+/'), /part 3 is not strict/],
  ['unused bits that are set', withPart(rsaToken, 4, 'AAAAAAAAAAAAAAAAAAAAAB'), /part 5 is not strict/],
  ['a length that no bytes have', withPart(rsaToken, 3, 'AAAAA'), /part 4 is not strict/],
  ['an empty ciphertext', withPart(rsaToken, 3, ''), /ciphertext is empty/],
  ['an IV of 16 bytes', withPart(rsaToken, 2, randomBytes(16).toString('base64url')), /12 bytes/],
  ['a tag of 4 bytes', withPart(rsaToken, 4, randomBytes(4).toString('base64url')), /16 bytes/],
  ['a tag of 17 bytes', withPart(rsaToken, 4, randomBytes(17).toString('base64url')), /16 bytes/],
  ['no encrypted key', withPart(rsaToken, 1, ''), /encrypted key has 0 bytes/],
  [
    'an RSA key of 512 bits',
    withPart(rsaToken, 1, randomBytes(64).toString('base64url')),
    /encrypted key has 64/,
  ],
  ['a wrapped key of 256 bytes for ECDH', withPart(ecdhToken, 1, rsaToken.split('.')[1]!), /has 256 bytes/],
  [
    'JSON serialisation',
    JSON.stringify({ protected: rsaToken.split('.')[0], recipients: [{}], ciphertext: 'AA' }),
    /fewer than 5/,
  ],
  [
    'a token above its limit',
    withPart(rsaToken, 3, 'A'.repeat(TOKEN_RULES['mpe-env'].maxChars)),
    /longer than/,
  ],
  ['a number', 5 as unknown as string, /not a string/],
  ['an object', { protected: 'x' } as unknown as string, /not a string/],
  ['null', null as unknown as string, /not a string/],
];

const signedTokens: [string, string, RegExp][] = [
  ['alg none', jws({ ...goodJws, alg: 'none' }), /alg "none"/],
  ['alg none without a signature', `${b64({ ...goodJws, alg: 'none' })}.${b64('x')}.`, /alg "none"/],
  ['HS256 with the public key as secret', hs256, /alg "HS256"/],
  ['ES384', jws({ ...goodJws, alg: 'ES384' }), /alg "ES384"/],
  ['ES256K', jws({ ...goodJws, alg: 'ES256K' }), /alg/],
  ['RS256', jws({ ...goodJws, alg: 'RS256' }), /alg/],
  ['an embedded jwk', jws({ ...goodJws, jwk: keys.sealingTo['ECDH-ES+A256KW'] }), /"jwk"/],
  ['enc in a signed token', jws({ ...goodJws, enc: 'A256GCM' }), /"enc"/],
  ['b64 false', jws({ ...goodJws, b64: false, crit: ['b64'] }), /"b64"|"crit"/],
  ['no kid', jws(without(goodJws, 'kid')), /"kid" is missing/],
  ['the typ of a registration', jws({ ...goodJws, typ: 'mpe-reg+jws' }), /typ is "mpe-reg\+jws"/],
  ['typ JWT', jws({ ...goodJws, typ: 'JWT' }), /typ/],
  ['no signature', withPart(signed, 2, ''), /64 bytes/],
  ['a DER signature', withPart(signed, 2, randomBytes(71).toString('base64url')), /64 bytes/],
  ['a signature of 96 bytes', withPart(signed, 2, randomBytes(96).toString('base64url')), /64 bytes/],
  ['no payload', withPart(signed, 1, ''), /payload is empty/],
  ['two parts', signed.split('.').slice(0, 2).join('.'), /fewer than 3/],
  ['four parts', `${signed}.AA`, /more than 3/],
  ['a sealed token', rsaToken, /more than 3/],
  [
    'alg twice',
    withPart(signed, 0, b64(JSON.stringify(goodJws).replace('}', ',"alg":"none"}'))),
    /stands twice/,
  ],
];

function refusal(token: string, typ: TokenType): string {
  try {
    guard(token, typ);
  } catch (error) {
    if (!isMpeError(error, 'CANNOT_OPEN')) throw error;
    return error.message;
  }
  return 'passed';
}

/** Whether a token is the RSA token but for the bytes of its parts. */
function hasParts(token: string): boolean {
  const parts = token.split('.');
  const [, key, iv, , tag] = parts.map((part) => Buffer.from(part, 'base64url').length);
  return (
    parts.length === 5 &&
    parts[0] === rsaToken.split('.')[0] &&
    parts.every((part) => part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part) &&
    key === 256 &&
    iv === 12 &&
    tag === 16
  );
}

describe('the guard', () => {
  it.each(sealedTokens)('refuses a sealed token with %s', async (_, token, problem) => {
    expect(refusal(token, 'mpe-env')).toMatch(problem);
    // The library is not even asked.
    const library = [vi.spyOn(jose.JWE, 'createDecrypt'), vi.spyOn(jose.JWK, 'asKey')];
    await expect(open(token, 'mpe-env', keys.opening)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    for (const spy of library) expect(spy).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it.each(signedTokens)('refuses a signed token with %s', async (_, token, problem) => {
    expect(refusal(token, 'mpe-msg+jws')).toMatch(problem);
    const library = [vi.spyOn(jose.JWS, 'createVerify'), vi.spyOn(jose.JWK, 'asKey')];
    await expect(verify(token, 'mpe-msg+jws', keys.signing)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    for (const spy of library) expect(spy).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it('passes what the table describes, and says what it is', () => {
    expect(guard(rsaToken, 'mpe-env')).toEqual({ alg: 'RSA-OAEP-256', typ: 'mpe-env', kid });
    expect(guard(ecdhToken, 'mpe-env')).toEqual({
      alg: 'ECDH-ES+A256KW',
      typ: 'mpe-env',
      kid: keys.ecdh.kid,
    });
    expect(guard(signed, 'mpe-msg+jws')).toEqual(goodJws);
  });

  it('passes a header in another order and with blanks', () => {
    const spaced = b64(`{ "kid" : "${kid}",\n"typ":"mpe-env", "enc":"A256GCM", "alg":"RSA-OAEP-256" }`);
    expect(guard(withPart(rsaToken, 0, spaced), 'mpe-env').kid).toBe(kid);
  });

  it('passes a token for one typ and no other', () => {
    for (const typ of Object.keys(TOKEN_RULES) as TokenType[]) {
      for (const [token, own] of [
        [rsaToken, 'mpe-env'],
        [ecdhToken, 'mpe-env'],
        [signed, 'mpe-msg+jws'],
      ] as const) {
        expect(refusal(token, typ) === 'passed').toBe(typ === own);
      }
    }
  });

  it('throws nothing but CANNOT_OPEN, whatever the text', () => {
    const parts = fc.array(
      fc.oneof(fc.string(), fc.json().map(b64), fc.constantFrom(...rsaToken.split('.'))),
      {
        maxLength: 7,
      },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          parts.map((list) => list.join('.')),
        ),
        (token) => {
          // The parts of the real token come up in their places, too.
          expect(refusal(token, 'mpe-env') === 'passed').toBe(hasParts(token));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('never repeats more than 40 characters of a value in its text', () => {
    const text = refusal(jwe({ ...good, alg: 'S3CRET'.repeat(100) }), 'mpe-env');
    expect(text.length).toBeLessThan(120);
  });
});

describe('the table of tokens', () => {
  it('lists at least 40 hostile tokens that are each refused for their own reason', () => {
    expect(sealedTokens.length + signedTokens.length).toBeGreaterThanOrEqual(40);
    const names = [...sealedTokens.map(([name]) => name), ...signedTokens.map(([name]) => `signed ${name}`)];
    expect(new Set(names).size).toBe(names.length);
  });

  it('lets dir into replies alone, and compression, criticality and passwords nowhere', () => {
    for (const [typ, rule] of Object.entries(TOKEN_RULES)) {
      expect(rule.algs.length).toBeGreaterThan(0);
      expect(rule.algs.includes('dir')).toBe(typ === 'mpe-reply');
    }
  });
});
