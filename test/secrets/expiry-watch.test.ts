import { Writable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/ops/log.js';
import { Metrics } from '../../src/ops/metrics.js';
import { expiryNotice, tlsEnd, type Expiring, type ExpiringThing } from '../../src/secrets/expiring.js';
import { ExpiryWatch } from '../../src/secrets/expiry-watch.js';
import { TestCa } from '../support/pki.js';

const DAY_MS = 86_400_000;
const END = Date.UTC(2031, 0, 1);
const THINGS: readonly ExpiringThing[] = ['site_document', 'certificate', 'gateway_tls', 'recovery_tls'];

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

/** A watch over what `expiring` says, by a clock that a test sets. */
function watched(expiring: () => readonly Expiring[], startMs: number) {
  const lines: Record<string, unknown>[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  const clock = { nowMs: startMs, now: () => clock.nowMs };
  const metrics = new Metrics('test', { defaults: false });
  const log = createLogger('test', { logLevel: 'info' }, { stream });
  const watch = new ExpiryWatch({ expiring, clock, log, metrics });
  closing.push(() => {
    watch.close();
    metrics.close();
  });
  return { watch, clock, lines, metrics };
}

describe('what comes to an end', () => {
  test('is announced 30, 7 and 1 days before and at the end, once for each', () => {
    const { watch, clock, lines } = watched(
      () => THINGS.map((thing) => ({ thing, id: 'a', expiresAtMs: END })),
      END - 40 * DAY_MS,
    );
    // Every ten minutes for forty-one days, as the timer would.
    for (; clock.nowMs < END + DAY_MS; clock.nowMs += 600_000) watch.look();
    for (const thing of THINGS) {
      const own = lines.filter(({ event }) => event === `${thing}.expires`);
      expect(own.map(({ withinDays }) => withinDays)).toEqual([30, 7, 1, 0]);
      expect(own.map(({ level }) => level)).toEqual(['warn', 'warn', 'error', 'error']);
      expect(own[0]).toMatchObject({ id: 'a', expiresAt: new Date(END).toISOString() });
    }
    expect(lines).toHaveLength(4 * THINGS.length);
  });

  test('is announced by the nearest threshold alone where a process starts late, and anew once renewed', () => {
    let held: Expiring = { thing: 'certificate', id: 'old', expiresAtMs: END };
    const { watch, clock, lines } = watched(() => [held], END - 5 * DAY_MS);
    expect(lines).toMatchObject([{ event: 'certificate.expires', id: 'old', withinDays: 7, level: 'warn' }]);
    held = { ...held, id: 'new', expiresAtMs: END + 30 * DAY_MS };
    watch.look();
    expect(lines).toHaveLength(1);
    clock.nowMs = END + DAY_MS;
    watch.look();
    expect(lines.slice(1)).toMatchObject([{ id: 'new', withinDays: 30 }]);
  });

  test('is a metric of those processes alone that know when', async () => {
    const { clock, metrics } = watched(
      () => [{ thing: 'gateway_tls', id: 'a', expiresAtMs: END }],
      END - 40 * DAY_MS,
    );
    const samples = async (): Promise<string[]> =>
      (await metrics.scrape()).text.split('\n').filter((line) => /^mpe_[a-z_]*expires/.test(line));
    expect(await samples()).toEqual([`mpe_gateway_tls_expires_seconds ${40 * 86_400}`]);
    clock.nowMs = END + 5000;
    expect(await samples()).toEqual(['mpe_gateway_tls_expires_seconds -5']);
  });

  test('that cannot be read is told once, and stops nothing', () => {
    let broken = true;
    const { watch, lines } = watched(() => {
      if (broken) throw new Error('no such file');
      return [{ thing: 'certificate', id: 'a', expiresAtMs: END }];
    }, END);
    watch.look();
    expect(lines).toMatchObject([{ event: 'expiry.unread' }]);
    broken = false;
    watch.look();
    expect(lines[1]).toMatchObject({ event: 'certificate.expires', withinDays: 0 });
  });

  test('says what it is and what to do', () => {
    for (const thing of THINGS) {
      const at = (days: number) => expiryNotice({ thing, expiresAtMs: END }, END - days * DAY_MS);
      expect(at(30.01)).toBeNull();
      expect(at(20)?.text).toMatch(/^the .* expires within 20 days; .*(mpe|site CA)/);
      expect(at(0.5)?.text).toContain('expires within a day');
      expect(at(0)?.text).toContain('has expired');
    }
  });

  test('a chain ends with the first of its certificates that ends', async () => {
    const wholeSecond = Math.floor(Date.now() / 1000) * 1000;
    const days = (n: number): Date => new Date(wholeSecond + n * DAY_MS);
    const ca = await TestCa.create('CN=Site CA', { notAfter: days(10) });
    const leaf = await ca.issue({ cn: 'localhost', notAfter: days(20) });
    expect(tlsEnd(leaf.pem).expiresAtMs).toBe(days(20).getTime());
    expect(tlsEnd(`${leaf.pem}\n${ca.pem}`).expiresAtMs).toBe(days(10).getTime());
  });
});
