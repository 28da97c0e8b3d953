import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { AuditSettings } from '../../config/index.js';
import { MpeError } from '../../ops/errors.js';
import { VERSION } from '../../ops/version.js';
import type { AuditRow } from '../../store/disclosure-store.js';
import { auditJson } from './export-audit.js';
import type { Sent, SinkTarget } from './sink-target.js';

const TIMEOUT_MS = 15_000;
/** What a receiver says to bytes that it will never take. */
const NEVER: readonly number[] = [400, 413, 422];

/**
 * JSON over HTTPS: `POST` of `{"rows":[…]}`; any 2xx takes them. 400, 413 and 422 refuse them for good,
 * everything else is tried again.
 */
export class HttpsTarget implements SinkTarget {
  readonly kind = 'https';
  readonly id: string;
  readonly #url: URL;
  readonly #token: string | null;
  readonly #agent: Agent;

  constructor({ url, ca, token }: NonNullable<AuditSettings['https']>) {
    this.#url = new URL(url);
    this.#token = token;
    this.id = `https ${this.#url.host}${this.#url.pathname}`.replaceAll(/[^\x20-\x7e]/g, '-').slice(0, 128);
    this.#agent = new Agent({
      ...{ keepAlive: true, maxSockets: 1, minVersion: 'TLSv1.2' },
      ...(ca === null ? {} : { ca: readFileSync(ca) }),
    });
  }

  async send(rows: readonly AuditRow[], signal: AbortSignal): Promise<Sent> {
    const body = Buffer.from(JSON.stringify({ rows: rows.map(auditJson) }), 'utf8');
    const status = await this.#post(body, signal);
    if (status >= 200 && status < 300) return { kind: 'taken' };
    if (NEVER.includes(status)) return { kind: 'refused', detail: `HTTP ${status}` };
    throw new MpeError('UNREACHABLE', `${this.id} answered HTTP ${status}`);
  }

  /** Every batch is acknowledged. */
  lost(): boolean {
    return false;
  }

  overlap(): number {
    return 0;
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(body: Buffer, signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      const fail = (cause: Error): void =>
        reject(new MpeError('UNREACHABLE', `${this.id}: ${cause.message}`, { cause }));
      const call = request(
        this.#url,
        {
          ...{
            agent: this.#agent,
            method: 'POST',
            signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
          },
          headers: {
            'content-type': 'application/json',
            'content-length': body.length,
            'user-agent': `mpe/${VERSION}`,
            ...(this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
          },
        },
        (answer) => {
          answer.on('error', fail);
          answer.on('end', () => resolve(answer.statusCode ?? 0));
          answer.resume();
        },
      );
      call.on('error', fail);
      call.end(body);
    });
  }
}
