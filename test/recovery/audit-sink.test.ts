import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import { writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTls, type Server as TlsServer } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { AuditSettings } from '../../src/config/index.js';
import { systemClock } from '../../src/ops/clock.js';
import { Metrics } from '../../src/ops/metrics.js';
import { newGuid } from '../../src/protocol/guid.js';
import { AuditMetrics } from '../../src/recovery/audit/audit-metrics.js';
import { HttpsTarget } from '../../src/recovery/audit/https-target.js';
import { recordEvent } from '../../src/recovery/audit/record.js';
import { AuditSink } from '../../src/recovery/audit/sink.js';
import type { SinkTarget } from '../../src/recovery/audit/sink-target.js';
import { SyslogTarget } from '../../src/recovery/audit/syslog-target.js';
import { createSiteTls } from '../../src/secrets/site-ca.js';
import { TestSite } from '../workers/support.js';

/** A collector of either kind, which may be away, refuse, or cut connections. */
interface Collector {
  readonly settings: { readonly ca: string; readonly port: number };
  /** Sequences in the order in which they came. */
  readonly got: number[];
  readonly texts: string[];
  /** Cuts every connection, and each new one, until it is back. */
  goAway(): void;
  comeBack(): void;
}

const tls = await createSiteTls(newGuid(), ['localhost'], Date.now());
const cert = { key: tls.keyPem, cert: tls.chainPem };

/** An HTTPS collector that answers what `answer` says. */
async function httpsCollector(
  folder: string,
  answer: (sequences: number[], token: string) => number,
): Promise<Collector> {
  const got: number[] = [];
  const texts: string[] = [];
  const server = createHttps(cert, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const { rows } = JSON.parse(body) as { rows: { sequence: string }[] };
      const sequences = rows.map(({ sequence }) => Number(sequence));
      const status = answer(sequences, request.headers.authorization ?? '');
      if (status < 300) {
        got.push(...sequences);
        texts.push(body);
      }
      response.writeHead(status).end();
    });
  });
  return collector(folder, server, got, texts);
}

/** A syslog collector; `cutAfter`: it resets its first connection behind so many messages. */
async function syslogCollector(folder: string, cutAfter = Infinity): Promise<Collector> {
  const got: number[] = [];
  const texts: string[] = [];
  let cut = false;
  const server = createTls(cert, (socket) => {
    socket.on('error', () => undefined);
    let buffered = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk]);
      for (;;) {
        const length = /^(\d+) /.exec(buffered.subarray(0, 12).toString('latin1'));
        if (length === null) return;
        const [from, size] = [length[0].length, Number(length[1])];
        if (buffered.length < from + size) return;
        const message = buffered.subarray(from, from + size).toString('utf8');
        buffered = buffered.subarray(from + size);
        if (!cut && got.length >= cutAfter) {
          cut = true;
          socket.destroy();
          return;
        }
        texts.push(message);
        got.push(Number(/ sequence="(\d+)"/.exec(message)?.[1]));
      }
    });
  });
  return collector(folder, server, got, texts);
}

async function collector(
  folder: string,
  server: HttpsServer | TlsServer,
  got: number[],
  texts: string[],
): Promise<Collector> {
  const ca = join(folder, `ca-${newGuid()}.pem`);
  writeFileSync(ca, tls.caPem);
  const sockets = new Set<Socket>();
  // The port is kept while it is away: another process could take it.
  let away = false;
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => undefined);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (away) socket.destroy();
  });
  const cutAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    cutAll();
    await closed;
  });
  return {
    ...{ settings: { ca, port }, got, texts },
    goAway: () => {
      away = true;
      cutAll();
    },
    comeBack: () => {
      away = false;
    },
  };
}

class Site {
  readonly site: TestSite;
  readonly metrics = new Metrics('recovery', { defaults: false });
  readonly #own = new AuditMetrics(this.metrics);

  private constructor(site: TestSite) {
    this.site = site;
  }

  static async create(): Promise<Site> {
    const site = await TestSite.create();
    return new Site(site);
  }

  async rows(count: number, ticket = ''): Promise<void> {
    for (let n = 0; n < count; n += 1)
      await recordEvent(
        { store: this.site.store, clock: systemClock(), log: this.site.log },
        {
          ...{
            requestId: newGuid(),
            source: 'Helpdesk',
            person: 'CORP\\desk',
            helpdeskUser: 'CORP\\desk',
            endUser: '',
          },
          ...{
            machine: 'PC',
            keyType: 'Recovery Key Password',
            keyId: newGuid(),
            reason: 'a "b" ] \\ ö',
            ticket,
            detail: '',
          },
        },
        'Successful',
      );
  }

  sink(target: SinkTarget): { readonly close: () => Promise<void> } {
    const { store, log } = this.site;
    const options = { store: store.disclosure, target, metrics: this.#own, log, clock: systemClock() };
    const sink = new AuditSink({ ...options, lookEveryMs: 20, retryMs: 20 });
    const ended = sink.run();
    const close = async (): Promise<void> => {
      sink.close();
      await ended;
    };
    onTestFinished(close);
    return { close };
  }

  async metric(name: string): Promise<number> {
    const line = (await this.metrics.scrape()).text.split('\n').find((one) => one.startsWith(name));
    return Number(line?.split(' ').at(-1));
  }
}

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resume) => setTimeout(resume, 10));
};
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
const httpsTo = (one: Collector, token: string | null = null): NonNullable<AuditSettings['https']> => ({
  ...{ url: `https://localhost:${one.settings.port}/audit`, ca: one.settings.ca, token },
});
const syslogTo = (one: Collector): NonNullable<AuditSettings['syslog']> => ({
  ...{ to: { host: 'localhost', port: one.settings.port }, ca: one.settings.ca, client: null },
});

describe('a sink', () => {
  test('over HTTPS gets every row in order, catches up after an outage, and goes on where it was', async () => {
    const site = await Site.create();
    const collecting = await httpsCollector(site.site.folder, (_, token) =>
      token === 'Bearer s3cret' ? 204 : 401,
    );
    await site.rows(3);
    const first = site.sink(new HttpsTarget(httpsTo(collecting, 's3cret')));
    const place = () =>
      site.site.store.disclosure.readSink(`https localhost:${collecting.settings.port}/audit`);
    // Acknowledged, too: what is not comes again, as it must.
    await until(async () => (await place()) === 3n);
    expect(collecting.got).toEqual(upTo(3));
    collecting.goAway();
    // Nobody waits for it.
    await site.rows(250);
    await until(async () => (await site.metric('mpe_audit_sink_failures_total')) > 0);
    await until(async () => (await site.metric('mpe_audit_sink_behind_rows')) === 250);
    collecting.comeBack();
    await until(async () => (await place()) === 253n);
    expect(collecting.got).toEqual(upTo(253));
    await first.close();
    await site.rows(2);
    site.sink(new HttpsTarget(httpsTo(collecting, 's3cret')));
    await until(() => collecting.got.length >= 255);
    expect(collecting.got).toEqual(upTo(255));
    const [body] = collecting.texts;
    expect(JSON.parse(body!)).toMatchObject({
      rows: [{ sequence: '1', helpdeskUser: 'CORP\\desk', reason: 'a "b" ] \\ ö' }, {}, {}],
    });
    expect(JSON.stringify(site.site.lines)).not.toContain('s3cret');
  });

  test('drops what a collector refuses for good, alone, counted and named; never for a wrong token', async () => {
    const site = await Site.create();
    let open = false;
    const collecting = await httpsCollector(site.site.folder, (sequences) =>
      !open ? 403 : sequences.includes(4) ? 422 : 200,
    );
    await site.rows(6);
    site.sink(new HttpsTarget(httpsTo(collecting)));
    await until(async () => (await site.metric('mpe_audit_sink_failures_total')) > 1);
    expect(await site.metric('mpe_audit_sink_dropped_total')).not.toBeGreaterThan(0);
    open = true;
    await until(() => collecting.got.length >= 5);
    expect(collecting.got).toEqual([1, 2, 3, 5, 6]);
    await until(async () => (await site.metric('mpe_audit_sink_dropped_total')) === 1);
    const dropped = site.site.lines.filter((line) => line['event'] === 'audit.sink_dropped');
    expect(dropped).toMatchObject([{ sequence: '4' }]);
  });

  test('over syslog speaks RFC 5424 in the frames of RFC 5425, and loses nothing with a connection', async () => {
    const site = await Site.create();
    const collecting = await syslogCollector(site.site.folder, 2);
    await site.rows(5);
    site.sink(new SyslogTarget(syslogTo(collecting)));
    await until(() => collecting.got.length >= 2);
    await until(async () => {
      // Written into a dead connection, unseen: the next row shows it.
      if (new Set(collecting.got).size < 6) await site.rows(1);
      await new Promise((resume) => setTimeout(resume, 50));
      return new Set(collecting.got).size >= 6;
    });
    const rows = await site.site.store.disclosure.auditAfter(0n, 1000);
    await until(() => new Set(collecting.got).size === rows.length);
    const message = collecting.texts.find((text) => text.includes(' sequence="1"'))!;
    expect(message).toMatch(
      /^<110>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ mpe \d+ audit \[mpeAudit@32473 sequence="1" .* reason="a \\"b\\" \\\] \\\\ ö" .*\] \ufeffHelpdesk: /,
    );
  });

  test('is refused a collector of another CA: nothing is sent', async () => {
    const site = await Site.create();
    const collecting = await httpsCollector(site.site.folder, () => 200);
    const other = await createSiteTls(newGuid(), ['localhost'], Date.now());
    writeFileSync(collecting.settings.ca, other.caPem);
    await site.rows(1);
    site.sink(new HttpsTarget(httpsTo(collecting)));
    await until(async () => (await site.metric('mpe_audit_sink_failures_total')) > 1);
    expect(collecting.got).toEqual([]);
  });
});
