import { randomBytes } from 'node:crypto';
import { guard } from '../../src/jose/guard.js';
import { generatePrivateKey, open, OpeningKeys, publicPart, seal, sign } from '../../src/jose/index.js';
import { TOKEN_RULES, type TokenType } from '../../src/jose/token-rules.js';
import { isMpeError } from '../../src/ops/errors.js';
import { bounded, type FuzzTarget } from './target.js';

/** The guard: whatever the token, it passes with a header of the table or is refused as CANNOT_OPEN. */
export async function guardTarget(): Promise<FuzzTarget> {
  const ec = await generatePrivateKey('ECDH-ES+A256KW');
  const es = await generatePrivateKey('ES256');
  const seeds = await Promise.all([
    seal(randomBytes(64), publicPart(ec), 'mpe-env'),
    sign(randomBytes(64), es, 'mpe-msg+jws'),
    sign(randomBytes(64), es, 'mpe-reg+jws'),
  ]);
  const types = Object.keys(TOKEN_RULES) as TokenType[];
  return {
    name: 'jose-guard',
    seeds: seeds.map((token) => Buffer.from(token)),
    words: [
      ...[
        '.',
        '..',
        '=',
        'eyJ',
        'eyJhbGciOiJub25lIn0',
        'bnVsbA',
        '{}',
        '"zip":"DEF"',
        '"crit":["x"]',
        '__proto__',
      ],
      ...['{"alg":"dir"}', '{"alg":"PBES2-HS512+A256KW","p2c":1e9}', '\u0000', '\\u0000', '9'.repeat(400)],
    ],
    run(input) {
      const token = input.toString('latin1');
      // Also with a header that is JSON before it is encoded: mutations of base64url seldom stay JSON.
      const [first = '', ...rest] = token.split('.');
      const encoded = [Buffer.from(first, 'latin1').toString('base64url'), ...rest].join('.');
      for (const text of [token, encoded]) {
        for (const typ of types) {
          try {
            const header = bounded(() => guard(text, typ));
            if (
              header.typ !== typ ||
              !TOKEN_RULES[typ].algs.includes(header.alg) ||
              !TOKEN_RULES[typ].kid.test(header.kid)
            )
              throw new Error(`let through: ${JSON.stringify(header)}`);
          } catch (error) {
            if (!isMpeError(error, 'CANNOT_OPEN')) throw error;
          }
        }
      }
    },
  };
}

/** Opening: a token that was touched does not open, and nothing but our own errors comes out. */
export async function openTarget(): Promise<FuzzTarget> {
  const ec = await generatePrivateKey('ECDH-ES+A256KW');
  const keys = await OpeningKeys.from([ec]);
  const plaintext = randomBytes(64);
  const token = await seal(plaintext, publicPart(ec), 'mpe-env');
  return {
    name: 'jose-open',
    seeds: [Buffer.from(token)],
    words: ['.', 'AAAA', 'eyJhbGciOiJkaXIifQ', '"', '-', '_'],
    async run(input) {
      const text = input.toString('latin1');
      try {
        const opened = await open(text, 'mpe-env', keys);
        if (text !== token || !plaintext.equals(opened.payload)) throw new Error('a touched token opens');
      } catch (error) {
        if (!isMpeError(error, 'CANNOT_OPEN') && !isMpeError(error, 'KID_UNKNOWN')) throw error;
      }
    },
  };
}
