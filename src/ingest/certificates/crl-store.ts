import { createHash, type X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Logger } from '../../ops/log.js';
import { readCrl, serialForm, type Crl } from './crl.js';
import { CertificateRefused } from './refusal.js';

const MAX_BYTES = 32 * 1024 * 1024;
const LOOK_EVERY_MS = 10_000;
/** The same fault is logged once in so long. */
const TELL_EVERY_MS = 60_000;
/** RFC 7468 says `X509 CRL`; some tools write `CRL`. */
const PEM = /-----BEGIN (?:X509 )?CRL-----([\s\S]+?)-----END (?:X509 )?CRL-----/g;

/** One file as it was last read. */
interface CrlFile {
  readonly path: string;
  /** Changes with the file. */
  stamp: string;
  lists: readonly Crl[];
}

/** How a {@link CrlStore} is opened. */
export interface CrlStoreOptions {
  readonly paths: readonly string[];
  /** Where no list can tell: refuse, or accept by the last good one. */
  readonly onFailure: 'refuse' | 'accept';
  readonly log: Logger;
  /** For tests. */
  readonly lookEveryMs?: number;
}

/**
 * The revocation lists of the CAs, read again when their files change. A file that cannot be read
 * any more is an error in the log; the list that it held is used until it is out of date, and from
 * then on certificates of that CA are refused.
 */
export class CrlStore {
  readonly #files: CrlFile[];
  readonly #onFailure: 'refuse' | 'accept';
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #told = new Map<string, number>();
  /** Lists by the thumbprint of the CA's key; made anew when a file changes. */
  #byIssuer = new Map<string, Crl | null>();
  #generation = 0;

  private constructor(options: CrlStoreOptions) {
    this.#files = options.paths.map((path) => ({ path, stamp: '', lists: [] }));
    this.#onFailure = options.onFailure;
    this.#log = options.log;
    this.#timer = setInterval(() => void this.refresh(), options.lookEveryMs ?? LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Reads all files. A file that cannot be read is logged and does not stop the start. */
  static async open(options: CrlStoreOptions): Promise<CrlStore> {
    const store = new CrlStore(options);
    await store.refresh();
    return store;
  }

  /** Grows whenever a list changes; what was found out under another one is found out again. */
  get generation(): number {
    return this.#generation;
  }

  /** Looks whether files changed and reads those. Never throws. */
  async refresh(): Promise<void> {
    for (const file of this.#files) {
      try {
        const { mtimeMs, size, ino } = await stat(file.path);
        const stamp = `${mtimeMs}/${size}/${ino}`;
        if (stamp === file.stamp) continue;
        if (size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
        file.lists = readLists(await readFile(file.path));
        file.stamp = stamp;
        this.#byIssuer = new Map();
        this.#generation += 1;
        const revoked = file.lists.reduce((sum, list) => sum + list.revoked.size, 0);
        this.#log.info({ event: 'gateway.crl_read', file: file.path, lists: file.lists.length, revoked });
      } catch (error) {
        const why = error instanceof Error ? error.message : 'unreadable';
        this.#tell(`the revocation list ${file.path} cannot be used: ${why}`);
      }
    }
  }

  /**
   * Judges a certificate by the list of its CA.
   *
   * @returns until when the judgement holds, milliseconds; Infinity where there are no lists at all.
   * @throws CertificateRefused REVOKED | REVOCATION_UNKNOWN
   */
  check(certificate: X509Certificate, issuer: X509Certificate, nowMs: number): number {
    if (this.#files.length === 0) return Infinity;
    const list = this.#listOf(issuer);
    if (list?.revoked.has(serialForm(certificate.serialNumber)) === true) {
      throw new CertificateRefused('REVOKED', 'the certificate, or a CA above it, is revoked');
    }
    const problem =
      list === null
        ? `no revocation list of ${oneLine(issuer.subject)} can be used`
        : nowMs > list.nextUpdateMs
          ? `the revocation list of ${oneLine(issuer.subject)} ended on ${new Date(list.nextUpdateMs).toISOString()}`
          : nowMs < list.thisUpdateMs
            ? `the revocation list of ${oneLine(issuer.subject)} begins on ${new Date(list.thisUpdateMs).toISOString()}`
            : null;
    if (problem === null) return list?.nextUpdateMs ?? nowMs;
    this.#tell(
      this.#onFailure === 'refuse'
        ? `${problem}; its certificates are refused until MPE_GATEWAY_CLIENT_CRL holds a good one`
        : `${problem}; its certificates are accepted (MPE_GATEWAY_CLIENT_CRL_FAILURE=accept)`,
    );
    if (this.#onFailure === 'accept') return nowMs;
    throw new CertificateRefused(
      'REVOCATION_UNKNOWN',
      'the gateway cannot find out now whether the certificate is revoked',
    );
  }

  /** The newest list that the CA's key signed. */
  #listOf(issuer: X509Certificate): Crl | null {
    const spki = issuer.publicKey.export({ type: 'spki', format: 'der' });
    const id = createHash('sha256').update(spki).digest('base64');
    let newest = this.#byIssuer.get(id);
    if (newest === undefined) {
      newest = this.#files
        .flatMap((file) => file.lists)
        .filter((list) => list.signedBy(issuer.publicKey))
        .reduce<Crl | null>(
          (best, one) => (best === null || one.thisUpdateMs > best.thisUpdateMs ? one : best),
          null,
        );
      this.#byIssuer.set(id, newest);
    }
    return newest;
  }

  #tell(problem: string): void {
    const now = performance.now();
    if (now - (this.#told.get(problem) ?? -Infinity) < TELL_EVERY_MS) return;
    if (this.#told.size > 100) this.#told.clear();
    this.#told.set(problem, now);
    this.#log.error({ event: 'gateway.crl_unusable', problem }, problem);
  }

  /** Stops looking. */
  close(): void {
    clearInterval(this.#timer);
  }
}

/** PEM, several in a file, or DER. */
function readLists(bytes: Buffer): Crl[] {
  if (bytes[0] === 0x30) return [readCrl(bytes)];
  const lists = [...bytes.toString('latin1').matchAll(PEM)].map((match) =>
    readCrl(Buffer.from(match[1] ?? '', 'base64')),
  );
  if (lists.length === 0) throw new Error('it holds neither PEM (X509 CRL) nor DER');
  return lists;
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
