import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { warnOfDroppedChain } from '../../src/ingest/authenticators/open.js';
import { answerType, problemForm } from '../../src/ingest/media.js';
import { waitPreference } from '../../src/ingest/preference.js';
import {
  isRetryable,
  PROBLEM_CODES,
  PROBLEM_TITLES,
  problemStatus,
  problemType,
} from '../../src/ingest/problems.js';
import { TokenBucket } from '../../src/ingest/rate.js';
import { retryAfterSeconds } from '../../src/ingest/respond.js';

test.each([
  [undefined, null],
  ['wait=0', 0],
  ['wait=10', 10],
  ['WAIT = "7"', 7],
  ['respond-async, wait=5', 5],
  ['wait=5;foo=bar', 5],
  ['wait=31', 30],
  ['wait=999999999', 30],
  ['wait=5, wait=9', 5],
  [['respond-async', 'wait=4'], 4],
  ['wait=-1', null],
  ['wait=1.5', null],
  ['wait=99999999999999999999', null],
  ['await=5', null],
  ['', null],
])('Prefer: %j waits %j seconds', (header, seconds) => {
  expect(waitPreference(header)).toBe(seconds);
});

test('every problem has a status, a title and a type of its own', () => {
  for (const code of PROBLEM_CODES) {
    expect(problemStatus(code)).toBeGreaterThanOrEqual(400);
    expect(PROBLEM_TITLES[code]).not.toBe('');
  }
  expect(new Set(PROBLEM_CODES.map(problemType)).size).toBe(PROBLEM_CODES.length);
});

test('Retry-After is a whole number of seconds above 0, and spread out', () => {
  for (const code of PROBLEM_CODES.filter(isRetryable)) {
    const drawn = Array.from({ length: 200 }, () => retryAfterSeconds(code));
    expect(drawn.every((seconds) => Number.isInteger(seconds) && seconds > 0 && seconds <= 60)).toBe(true);
    expect(new Set(drawn).size).toBeGreaterThan(1);
  }
});

describe('media types', () => {
  test.each([
    [{ 'content-type': 'application/x-protobuf' }, 'application/x-protobuf', 'application/x-protobuf'],
    [{ 'content-type': 'Application/Protobuf; x=y' }, 'application/protobuf', 'application/protobuf'],
    [
      { accept: 'text/html, application/x-protobuf;q=0.5' },
      'application/x-protobuf',
      'application/x-protobuf',
    ],
    [{ accept: '*/*' }, 'application/protobuf', 'json'],
    [{ 'content-type': 'application/protobuf', accept: 'application/json' }, 'application/protobuf', 'json'],
    [{}, 'application/protobuf', 'json'],
  ])('%j answers in %s and tells problems in %s', (headers, type, form) => {
    expect(answerType(headers)).toBe(type);
    expect(problemForm(headers)).toBe(form);
  });
});

test('a bucket gives its burst and then no more than its rate', () => {
  const bucket = new TokenBucket(0.001, 3);
  expect([1, 2, 3, 4].map(() => bucket.take())).toEqual([true, true, true, false]);
});

test('a Node that loses the intermediates of clients is named at the start, with what to do', () => {
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  for (const version of ['22.23.3', '24.20.0', '24.22.1']) warnOfDroppedChain(log, version);
  expect(lines).toEqual([]);
  warnOfDroppedChain(log, '24.21.0');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({
    event: 'gateway.sent_chain_dropped',
    nodeVersion: '24.21.0',
    msg: expect.stringMatching(/^Node 24\.21\.0 drops .*MPE_GATEWAY_CLIENT_CA$/) as string,
  });
});
