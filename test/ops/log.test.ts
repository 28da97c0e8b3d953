import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { LOG_LEVELS } from '../../src/config/settings.js';
import { MpeError } from '../../src/ops/errors.js';
import { createLogger, messageLogger, type Logger } from '../../src/ops/log.js';
import { CENSOR, isSecretName, redactText } from '../../src/ops/redact.js';

/** A valid recovery password that nobody has. */
const CANARY = '000000-011011-022022-033033-044044-055055-066066-077077';
const JWS = `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.${Buffer.from(CANARY).toString('base64url')}.c2ln`;

function capture(level: (typeof LOG_LEVELS)[number] = 'trace'): { log: Logger; lines: () => string[] } {
  const written: string[] = [];
  const log = createLogger(
    'test',
    { logLevel: level },
    { stream: { write: (line) => void written.push(line) } },
  );
  return { log, lines: () => written };
}

const parsed = (line: string | undefined): Record<string, never> =>
  JSON.parse(line ?? '') as Record<string, never>;

/** Digits and spellings of the canary that must appear nowhere. */
function expectNoCanary(text: string): void {
  for (const form of [CANARY, CANARY.replaceAll('-', ''), CANARY.replaceAll('-', ' '), JWS, '077077']) {
    expect(text).not.toContain(form);
  }
  expect(text).not.toContain(Buffer.from(CANARY).toString('base64url').slice(0, 20));
}

test('a line is one JSON object with level, time, process, release, event and no host name', () => {
  const { log, lines } = capture();
  log.info({ event: 'gateway.listening', port: 8443 }, 'listening');
  expect(lines()).toHaveLength(1);
  expect(lines()[0]).toMatch(/^\{.*\}\n$/);
  expect(Object.keys(parsed(lines()[0])).sort()).toEqual(
    ['event', 'level', 'pid', 'port', 'process', 'release', 'text', 'time'].sort(),
  );
  expect(parsed(lines()[0])).toMatchObject({
    level: 'info',
    process: 'test',
    event: 'gateway.listening',
    port: 8443,
  });
});

test('the level decides what is written', () => {
  const { log, lines } = capture('warn');
  log.info({ event: 'a.b' }, 'no');
  log.warn({ event: 'a.b' }, 'yes');
  expect(lines()).toHaveLength(1);
});

test('a message logger puts the message’s names into every line', () => {
  const { log, lines } = capture();
  messageLogger(log, { clientId: 'c', messageId: 'm', bodyType: 'CHECK_IN', attempt: 2 }).info(
    { event: 'x.y' },
    't',
  );
  expect(parsed(lines()[0])).toMatchObject({
    clientId: 'c',
    messageId: 'm',
    bodyType: 'CHECK_IN',
    attempt: 2,
  });
});

describe('the second net', () => {
  const nested = new MpeError('INTERNAL', `went wrong with ${CANARY}`, {
    cause: new AggregateError(
      [
        new Error(`inner ${CANARY.replaceAll('-', ' ')}`),
        Object.assign(new Error('x'), { recoveryPassword: CANARY }),
      ],
      JWS,
    ),
    facts: { hint: CANARY },
  });
  const cases: readonly (readonly [
    string,
    (log: Logger, level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal') => void,
  ])[] = [
    ['a field by name', (log, level) => log[level]({ event: 'x.y', recoveryPassword: CANARY }, 't')],
    ['a field of another name', (log, level) => log[level]({ event: 'x.y', note: `it is ${CANARY}` }, 't')],
    ['the text', (log, level) => log[level]({ event: 'x.y' }, `got ${CANARY}`)],
    ['an argument of the text', (log, level) => log[level]('got %s and %o', CANARY, { a: CANARY })],
    [
      'deep inside',
      (log, level) =>
        log[level]({ event: 'x.y', a: [{ b: new Map([['c', CANARY]]), d: new Set([CANARY]) }] }, 't'),
    ],
    [
      'bytes',
      (log, level) =>
        log[level](
          { event: 'x.y', raw: Buffer.from(CANARY), view: new Uint8Array(Buffer.from(CANARY)) },
          't',
        ),
    ],
    ['a token with a readable payload', (log, level) => log[level]({ event: 'x.y', note: JWS }, 't')],
    ['an error with causes', (log, level) => log[level]({ event: 'x.y', error: nested }, 't')],
    ['an error under another name', (log, level) => log[level]({ event: 'x.y', problem: nested }, 't')],
    ['an error alone', (log, level) => log[level](nested)],
    [
      'what a child carries',
      (log, level) => log.child({ note: CANARY, token: CANARY }).child({ b: nested })[level]('t'),
    ],
    ['a key of an object', (log, level) => log[level]({ event: 'x.y', [CANARY]: 1 }, 't')],
  ];
  const levels = LOG_LEVELS.filter((level) => level !== 'silent');
  for (const level of levels) {
    test.each(cases)(`keeps a recovery password out at ${level}: %s`, (_name, write) => {
      const { log, lines } = capture('trace');
      write(log, level);
      expect(lines()).toHaveLength(1);
      expect(parsed(lines()[0])).toMatchObject({ level });
      expectNoCanary(lines()[0] ?? '');
    });
  }

  test('keeps what an error tells: code, text, facts, stack and causes', () => {
    const { log, lines } = capture();
    const error = new MpeError('STORE_TRANSIENT', 'busy', {
      cause: new Error('SQLITE_BUSY'),
      facts: { tries: 3 },
    });
    log.error({ event: 'x.y', error }, 't');
    expect(parsed(lines()[0])['error']).toMatchObject({
      type: 'MpeError',
      code: 'STORE_TRANSIENT',
      message: 'busy',
      facts: { tries: 3 },
      stack: expect.stringContaining('log.test'),
      cause: { type: 'Error', message: 'SQLITE_BUSY' },
    });
  });

  test('survives cycles, dates, big numbers and undefined', () => {
    const { log, lines } = capture();
    const cycle: Record<string, unknown> = { n: 5n, at: new Date(0), none: undefined };
    cycle['self'] = cycle;
    log.info({ event: 'x.y', cycle }, 't');
    expect(parsed(lines()[0])).toMatchObject({ cycle: { n: '5', at: '1970-01-01T00:00:00.000Z' } });
  });

  test.each([
    [
      'recoveryPassword',
      'recovery_password',
      'tpmOwnerAuth',
      'keyPackage',
      'package',
      'token',
      'enrolmentToken',
    ],
    [
      'accessToken',
      'Authorization',
      'cookie',
      'set-cookie',
      'privateKey',
      'workerSecret',
      'replyKey',
      'passphrase',
    ],
    [
      'jws',
      'previousKeyJws',
      'sealed',
      'sealedReply',
      'wrapped',
      'payload',
      'plaintext',
      'privateJwk',
      'dataKey',
    ],
  ])('names of secrets are known: %s …', (...names) => {
    for (const name of names) expect(isSecretName(name), name).toBe(true);
  });

  test('what only speaks about a secret stays', () => {
    for (const name of [
      ...['tokenId', 'secretId', 'dataKeyId', 'enrolmentTokenHash', 'payloadDigest', 'secretKind', 'keyId'],
      ...[
        'kid',
        'messageId',
        'clientId',
        'event',
        'port',
        'stage',
        'reason',
        'disposition',
        'path',
        'attempt',
      ],
    ]) {
      expect(isSecretName(name), name).toBe(false);
    }
    const { log, lines } = capture();
    log.info({ event: 'x.y', secrets: 12, tokens: 0, hasPassword: true }, 't');
    expect(parsed(lines()[0])).toMatchObject({ secrets: 12, tokens: 0, hasPassword: true });
  });

  test('the private members of a key are censored, the public ones stay', () => {
    const { log, lines } = capture();
    log.info({ event: 'x.y', key: { kty: 'EC', crv: 'P-256', x: 'xx', y: 'yy', d: 'dd', kid: 'k' } }, 't');
    expect(parsed(lines()[0])['key']).toEqual({
      kty: 'EC',
      crv: 'P-256',
      x: 'xx',
      y: 'yy',
      d: CENSOR,
      kid: 'k',
    });
  });

  test('texts lose passwords in URLs, private keys and enrolment tokens, and nothing else', () => {
    expect(redactText('redis://user:pass@host:6379/0')).toBe(`redis://${CENSOR}@host:6379/0`);
    expect(redactText('rediss://:pass@host')).toBe(`rediss://${CENSOR}@host`);
    expect(redactText('a -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- b')).toBe(
      `a ${CENSOR} b`,
    );
    expect(redactText(`mpe1.${'a'.repeat(32)}.${'b'.repeat(43)}.${'c'.repeat(43)}`)).toBe(CENSOR);
    const harmless =
      'listening on https://localhost:8443/v1 at 2026-11-25T13:12:38.547Z, 8637036e-b379-4798-bd9e-5a0b36296de3';
    expect(redactText(harmless)).toBe(harmless);
  });
});

describe('a log that cannot be written', () => {
  const source = `
    import { createLogger } from ${JSON.stringify(new URL('../../src/ops/log.ts', import.meta.url).href)};
    const log = createLogger('test', { logLevel: 'info' });
    for (let n = 0; n < 3000; n += 1) log.info({ event: 'test.line', n });
    log.fatal({ event: 'test.last' });
    console.error('still working');
  `;
  const run = (stdout: number | 'pipe') =>
    spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
      stdio: ['ignore', stdout, 'pipe'],
      encoding: 'utf8',
      timeout: 60_000,
    });

  test.runIf(existsSync('/dev/full'))('because the disk is full does not end the process', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = run(full);
    closeSync(full);
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'still working\n' });
  });

  test('is whole where it can be', () => {
    const lines = run('pipe').stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(3001);
    expect(JSON.parse(lines[2999]!)).toMatchObject({ event: 'test.line', n: 2999 });
  });
});
