import { describe, expect, it } from 'vitest';
import { jsonText, textOfJson } from '../../src/store/mssql/json-text.js';
import { packBytes, packWords } from '../../src/store/mssql/long-values.js';
import { rowsOf } from '../../src/store/mssql/parameters.js';
import { refusalOf, splitBySize } from '../../src/store/mssql/plan-limits.js';
import { nextGenerations } from '../../src/store/mssql/reduce-secrets.js';
import { reduce } from '../../src/store/mssql/reduce.js';
import type { CommitPlan } from '../../src/store/site-store.js';
import { candidate, hex, id, outcomeOf, T0, type MessageSpec } from './world.js';

const plan = (spec: MessageSpec, change: Partial<CommitPlan> = {}): CommitPlan => {
  const message = candidate(spec);
  return {
    candidate: message,
    outcome: message.leavesOutcome ? outcomeOf(message, 'COMMITTED', T0) : null,
    outcomeMode: 'insert',
    secrets: message.secrets.map((identity) => ({
      identity,
      content: { form: 'PLAIN', bytes: Buffer.from(`of message ${spec.message}`) },
    })),
    effects: true,
    atMs: T0,
    ...change,
  };
};

const escrow = (message: number, volume: number, ...keys: number[]): MessageSpec => ({
  client: 1,
  message,
  sequence: message,
  volumes: [{ volume, protectors: keys.map((key) => ({ key, password: `password ${key}` })) }],
});

describe('reduction of a group', () => {
  it('names every row once, sorted by its key, and gives a secret to the first plan that brings it', () => {
    const group = reduce([plan(escrow(3, 2, 5, 4)), plan(escrow(1, 1, 4)), plan(escrow(2, 2, 5, 6))]);
    expect(group.volumes.map((row) => row['VolumeId'])).toEqual([id('volume', 1), id('volume', 2)]);
    const ids = group.brought.map((secret) => secret.id);
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(ids).toHaveLength(4);
    expect(group.keys.map((row) => row['SecretId'])).toEqual(ids);
    expect(group.secretIds.map((row) => row['SecretId'])).toEqual(ids);
    const contents = group.brought.map(({ content, plan: n }) => [n, Buffer.from(content.bytes).toString()]);
    expect(contents.sort()).toEqual([
      [0, 'of message 3'],
      [0, 'of message 3'],
      [1, 'of message 1'],
      [2, 'of message 2'],
    ]);
    expect(group.keyProofs).toHaveLength(4);
    const messages = group.outcomes.map(({ row }) => row['MessageId']);
    expect(messages).toEqual([id('message', 1), id('message', 2), id('message', 3)]);
    expect(group.outcomes.map(({ row }) => row['N'])).toEqual([1, 2, 0]);
  });

  it('keeps the highest rank of each (client, volume), whatever the order, to 2^63-1', () => {
    const highest = 2n ** 63n - 1n;
    const specs: MessageSpec[] = [
      { ...escrow(1, 1, 1), sequence: highest - 1n },
      { ...escrow(2, 1, 2), sequence: highest },
      { ...escrow(3, 1, 3), sequence: 3 },
      { ...escrow(4, 1, 4), client: 2, sequence: 1 },
    ];
    for (const order of [specs, [...specs].reverse()]) {
      const { reports } = reduce(order.map((spec) => plan(spec)));
      expect(reports.map((row) => [row['ClientId'], row['MessageId'], row['Sequence']])).toEqual([
        [id('client', 1), id('message', 2), highest],
        [id('client', 2), id('message', 4), 1n],
      ]);
      expect(rowsOf(reports).value).toContain('"Sequence":"9223372036854775807"');
    }
  });

  it('keeps one state a client with its users, each user once by its bytes', () => {
    const checkIn = (message: number, ...names: string[]): MessageSpec => ({
      ...{ client: 1, message, sequence: message },
      state: { machineName: `PC${message}`, users: names.map((name) => ({ domain: 'D', name })) },
    });
    const group = reduce([plan(checkIn(2, 'a', 'A', 'a', 'a ')), plan(checkIn(1, 'x'))]);
    expect(group.states.map((row) => row['MachineName'])).toEqual(['PC2']);
    expect(group.users.map((row) => [row['Position'], row['Name']])).toEqual([
      [0, 'a'],
      [1, 'A'],
      [2, 'a '],
    ]);
    expect(group.outcomes).toEqual([]);
  });

  it('finds twins inside the group: one client, epoch and sequence, but never sequence 0', () => {
    const at = (message: number, sequence: number, client = 1, epoch = 1): CommitPlan =>
      plan({ ...escrow(message, 1, 1), sequence, client, epoch });
    const group = reduce([at(1, 7), at(2, 8), at(3, 7), at(4, 7, 2), at(5, 7, 1, 2), at(6, 0), at(7, 0)]);
    expect([...group.twins]).toEqual([0, 2]);
  });

  it('writes no effects of refused messages, and leaves quarantined ones where they are', () => {
    const refused = plan(escrow(1, 1, 1), { effects: false });
    const message = candidate(escrow(2, 1, 1));
    const quarantined = plan(escrow(2, 1, 1), {
      effects: false,
      outcome: outcomeOf(message, 'QUARANTINED', T0),
      outcomeMode: 'move-up',
    });
    const group = reduce([refused, quarantined]);
    expect([group.volumes, group.keys, group.keyProofs, group.reports, group.secretIds]).toEqual([
      ...[[], [], [], [], []],
    ]);
    expect(group.outcomes).toHaveLength(1);
    expect(group.moves).toHaveLength(1);
    expect(group.resolved).toEqual([{ ClientId: id('client', 1), MessageId: id('message', 1) }]);
  });

  it('numbers the next generation where none is healthy', () => {
    const { brought } = reduce([plan({ ...escrow(1, 1, 1, 2), tpm: 'owner' })]);
    const [first, second, third] = brought;
    const next = nextGenerations(brought, new Set([first!.id]), new Map([[second!.id, 4]]));
    expect(next.map(({ row }) => [row['SecretId'], row['Generation']])).toEqual([
      [second!.id, 5],
      [third!.id, 1],
    ]);
    expect(next.filter(({ ownerAuth }) => ownerAuth).length).toBeLessThanOrEqual(1);
  });
});

describe('values on their way into OPENJSON', () => {
  const decoded = (text: string): string =>
    ['"', '\\', '\n', '\r', '\t']
      .reduce((all, one, i) => all.replaceAll(`~${i + 1}`, one), text)
      .replaceAll('~0', '~');

  it.each(['', 'CONTOSO\\user', '~1', '~~0"~2\\', "'; DROP TABLE x --", 'a\r\n\tb', 'ünïcødé 😀 ～1'])(
    'writes %j without an escape, and back',
    (text) => {
      const written = jsonText(text);
      expect(JSON.stringify(written)).toBe(`"${written}"`);
      expect(decoded(written)).toBe(text);
      expect(textOfJson('j.Name')).toMatch(/^REPLACE\(.*N'~0', N'~'\)$/);
    },
  );

  it('cuts long values out of one parameter, from 1', () => {
    const { places, parameter } = packBytes([Buffer.from('abc'), Buffer.alloc(0), Buffer.from('de')]);
    expect(places).toEqual([
      { Start: 1, Length: 3 },
      { Start: 4, Length: 0 },
      { Start: 4, Length: 2 },
    ]);
    expect(parameter.value).toEqual(Buffer.from('abcde'));
    expect(packWords(['x.y', '', 'z']).parameter.value).toBe('x.yz');
    expect(packBytes([]).places).toEqual([]);
  });

  it('refuses what a conversion could cut in silence', () => {
    const good = plan(escrow(1, 1, 1));
    expect(refusalOf(good)).toBeNull();
    const rank = { ...good.candidate.rank, sequence: 2n ** 63n };
    expect(refusalOf({ ...good, candidate: { ...good.candidate, rank } })).toMatchObject({
      code: 'STORE_FAILED',
    });
    const identity = { ...good.candidate.secrets[0]!, fingerprint: Buffer.alloc(33) };
    expect(refusalOf({ ...good, candidate: { ...good.candidate, secrets: [identity] } })?.message).toContain(
      '33',
    );
    const short = { ...good.outcome!, digest: Buffer.alloc(3) };
    expect(refusalOf({ ...good, outcome: short })?.message).not.toContain(hex(short.digest));
  });

  it('cuts a group whose secrets are too large for one transaction, and no other', () => {
    const large = (message: number, bytes: number): CommitPlan => {
      const base = plan(escrow(message, 1, message));
      const content = { form: 'PLAIN', bytes: Buffer.alloc(bytes) } as const;
      return { ...base, secrets: base.secrets.map((secret) => ({ ...secret, content })) };
    };
    const small = Array.from({ length: 64 }, (_, n) => large(n, 100_000));
    expect(splitBySize(small)).toHaveLength(1);
    const parts = splitBySize([large(1, 5_000_000), large(2, 5_000_000), large(3, 100), large(4, 9_000_000)]);
    expect(parts.map((part) => part.length)).toEqual([1, 2, 1]);
    expect(splitBySize([])).toEqual([]);
  });
});
