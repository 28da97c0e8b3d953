import { createPrivateKey } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { certificateThumbprint } from '../../src/secrets/certificate-file.js';
import { TestCa, type TestCertificate } from '../support/pki.js';
import { MpeProcess, until } from '../workers/runtime-support.js';
import { ServiceLab } from './service-lab.js';
import { Vault } from './support.js';

/** Thumbprint of the certificate that a new connection is shown; the chain is verified. */
function shownTo(ca: TestCa, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.pem }, () => {
      resolve(socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase());
      socket.end();
    });
    socket.once('error', reject);
  });
}

const thumbprint = ({ pem }: TestCertificate): string => certificateThumbprint(pem);

/** A service, and hands on its TLS files. */
class TlsLab {
  readonly lab: ServiceLab;
  readonly chains: string[];
  readonly #folder: string;

  private constructor(lab: ServiceLab, chains: string[]) {
    this.lab = lab;
    this.chains = chains;
    this.#folder = lab.desk.site.folder;
  }

  static async open(lookEveryMs?: number): Promise<TlsLab> {
    const chains: string[] = [];
    const more = lookEveryMs === undefined ? {} : { lookEveryMs };
    const lab = await ServiceLab.open({}, { onTls: (chain) => chains.push(chain), ...more });
    return new TlsLab(lab, chains);
  }

  get key(): string {
    return join(this.#folder, 'tls.key');
  }

  get cert(): string {
    return join(this.#folder, 'tls.pem');
  }

  shown(): Promise<string> {
    return shownTo(this.lab.ca, this.lab.service.port);
  }

  put({ pem, keyPem }: Pick<TestCertificate, 'pem' | 'keyPem'>): void {
    writeFileSync(this.key, keyPem);
    writeFileSync(this.cert, pem);
  }

  said(event: string): Record<string, unknown>[] {
    return this.lab.desk.site.lines.filter((line) => line['event'] === event);
  }
}

describe('a renewed TLS certificate of the recovery service', () => {
  test('is shown to new connections; an open connection goes on, and its end is watched', async () => {
    const tls = await TlsLab.open();
    const before = await tls.shown();
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: tls.lab.ca.pem });
    onTestFinished(() => agent.destroy());
    const ask = (): Promise<{ status: number | undefined; reused: boolean }> =>
      new Promise((resolve, reject) => {
        const request = get(`${tls.lab.service.origin}/api/v1/session`, { agent }, (response) => {
          response.resume();
          response.once('end', () => resolve({ status: response.statusCode, reused: request.reusedSocket }));
        });
        request.once('error', reject);
      });
    expect(await ask()).toEqual({ status: 401, reused: false });

    const renewed = await tls.lab.ca.server();
    tls.put(renewed);
    tls.lab.service.reloadTls();
    expect(await tls.shown()).toBe(thumbprint(renewed));
    expect(thumbprint(renewed)).not.toBe(before);
    expect(await ask()).toEqual({ status: 401, reused: true });
    expect(tls.chains.map(certificateThumbprint)).toEqual([before, thumbprint(renewed)]);
    expect(tls.said('recovery.tls_changed')).toMatchObject([{ thumbprint: thumbprint(renewed) }]);
    // The same files again are no change.
    tls.lab.service.reloadTls();
    expect(tls.said('recovery.tls_changed')).toHaveLength(1);
  });

  test('is seen without anybody saying so', async () => {
    const tls = await TlsLab.open(20);
    const renewed = await tls.lab.ca.server();
    tls.put(renewed);
    await until(() => tls.said('recovery.tls_changed').length === 1);
    expect(await tls.shown()).toBe(thumbprint(renewed));
  });

  test('that cannot be used is refused with the reason, once; the old one goes on, a good one is taken', async () => {
    const tls = await TlsLab.open();
    const before = await tls.shown();
    const first = { pem: readFileSync(tls.cert, 'utf8'), keyPem: readFileSync(tls.key, 'utf8') };
    const [renewed, other] = [await tls.lab.ca.server(), await tls.lab.ca.server()];
    const locked = createPrivateKey(renewed.keyPem)
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      .toString();
    const broken: [() => void, string][] = [
      [() => tls.put({ ...renewed, pem: '' }), 'holds no certificate in PEM'],
      [() => tls.put({ ...renewed, pem: renewed.pem.slice(0, 200) }), 'or one that is cut off'],
      [() => tls.put({ ...renewed, keyPem: renewed.keyPem.slice(0, 80) }), 'holds no private key in PEM'],
      [() => tls.put({ ...renewed, keyPem: locked }), 'or one under a password'],
      [() => tls.put({ ...renewed, keyPem: other.keyPem }), 'is not the certificate of the key in'],
      [
        () =>
          tls.put({
            ...renewed,
            pem: `${renewed.pem}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
          }),
        'its intermediates may be damaged',
      ],
      [() => rmSync(tls.cert), 'cannot be read (ENOENT)'],
    ];
    for (const [n, [make, why]] of broken.entries()) {
      make();
      tls.lab.service.reloadTls();
      tls.lab.service.reloadTls();
      const refused = tls.said('recovery.tls_refused');
      expect(refused, why).toHaveLength(n + 1);
      expect(refused.at(-1)).toMatchObject({ level: 'error', thumbprint: before });
      expect(refused.at(-1)?.['why']).toContain(why);
      expect(refused.at(-1)?.['why']).toMatch(/^MPE_RECOVERY_TLS_(KEY|CERT): \//);
      expect(await tls.shown(), why).toBe(before);
      tls.put(first);
      tls.lab.service.reloadTls();
    }
    const log = JSON.stringify(tls.lab.desk.site.lines);
    for (const { keyPem } of [renewed, other]) expect(log).not.toContain(keyPem.split('\n')[1]);
    expect(tls.chains).toHaveLength(1);
    tls.put(renewed);
    tls.lab.service.reloadTls();
    expect(await tls.shown()).toBe(thumbprint(renewed));
  });

  test('is taken by the running process at SIGHUP, which does not end it', async () => {
    const vault = await Vault.create();
    const ca = await TestCa.create('Test CA');
    const [first, second] = [await ca.server(), await ca.server()];
    const [key, cert] = ['tls.key', 'tls.pem'].map((name) => join(vault.site.folder, name));
    const put = ({ pem, keyPem }: TestCertificate): void => {
      writeFileSync(key!, keyPem);
      writeFileSync(cert!, pem);
    };
    put(first);
    const running = new MpeProcess(vault.site, { url: 'redis://127.0.0.1:9' }, ['recovery'], {
      ...{ MPE_RECOVERY_LISTEN: '127.0.0.1:0', MPE_RECOVERY_TLS_KEY: key!, MPE_RECOVERY_TLS_CERT: cert! },
      MPE_RECOVERY_OPS_LISTEN: '127.0.0.1:0',
    });
    // What comes last of a start.
    await until(() => running.count('recovery.ops_listening') === 1);
    const port = Number(running.lines().find(({ event }) => event === 'recovery.listening')?.['port']);
    expect(await shownTo(ca, port)).toBe(thumbprint(first));
    put(second);
    running.child.kill('SIGHUP');
    await until(() => running.count('recovery.tls_changed') === 1);
    expect(await shownTo(ca, port)).toBe(thumbprint(second));
    expect(running.child.exitCode).toBeNull();
  });
});

test('TLS files that cannot be used stop the start with the reason', async () => {
  const tls = await TlsLab.open();
  const { settings } = { settings: { key: tls.key, cert: tls.cert } };
  writeFileSync(tls.key, 'no key');
  await expect(ServiceLab.open({}, { settings: { tls: settings } })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('MPE_RECOVERY_TLS_KEY') as string,
  });
});
