import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { MpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import { certificateThumbprint, keyMatchesCertificate } from '../../secrets/certificate-file.js';

const LOOK_EVERY_MS = 15_000;

/** Key and chain that the service shows, PEM. */
export interface ServiceTls {
  readonly key: string;
  /** Leaf, then intermediates. */
  readonly cert: string;
}

/** All that decides over TLS; a later key and chain come with the same. */
export function secureOptions({ key, cert }: ServiceTls): SecureContextOptions {
  return { key, cert, minVersion: 'TLSv1.2' };
}

/**
 * TLS key and certificate of the service as they lie in their files: looked at again and again, so that a
 * renewal takes effect without a restart. What cannot be used is not taken: new connections go on with what
 * was there before.
 */
export class OwnTls {
  readonly #files: ServiceTls;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #tls: ServiceTls;
  #onChange: (tls: ServiceTls) => void = () => undefined;
  /** What is wrong with the files, as it was said last, so that it is said once. */
  #said = '';

  /**
   * @param files - paths of the settings
   * @throws MpeError CONFIG_INVALID where they cannot be used
   */
  constructor(files: ServiceTls, log: Logger, lookEveryMs = LOOK_EVERY_MS) {
    this.#files = files;
    this.#log = log;
    this.#tls = readTls(files);
    this.#timer = setInterval(() => this.look(), lookEveryMs);
    this.#timer.unref();
  }

  /** What is shown now. */
  get tls(): ServiceTls {
    return this.#tls;
  }

  /** Is called with every later key and chain. */
  onChange(take: (tls: ServiceTls) => void): void {
    this.#onChange = take;
  }

  /** Looks at the files. What cannot be used now is looked at again the next time. Never throws. */
  look(): void {
    try {
      const tls = readTls(this.#files);
      this.#said = '';
      if (tls.key === this.#tls.key && tls.cert === this.#tls.cert) return;
      this.#onChange(tls);
      this.#tls = tls;
      this.#log.info(
        { event: 'recovery.tls_changed', thumbprint: certificateThumbprint(tls.cert) },
        'new connections get the new certificate',
      );
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown';
      if (this.#said === why) return;
      this.#said = why;
      this.#log.error(
        {
          ...{ event: 'recovery.tls_refused', why },
          thumbprint: certificateThumbprint(this.#tls.cert),
        },
        'the TLS files cannot be used: the service goes on with the certificate that it has',
      );
    }
  }

  /** Looks no more. */
  close(): void {
    clearInterval(this.#timer);
  }
}

/**
 * Reads both files and makes sure that TLS can be made of them. No cause goes along: a parser's message may
 * quote what it read.
 *
 * @throws MpeError CONFIG_INVALID
 */
function readTls(files: ServiceTls): ServiceTls {
  const key = readPem('MPE_RECOVERY_TLS_KEY', files.key);
  const cert = readPem('MPE_RECOVERY_TLS_CERT', files.cert);
  const certIs = `MPE_RECOVERY_TLS_CERT: ${files.cert}`;
  attempt(`${certIs} holds no certificate in PEM, or one that is cut off`, () => certificateThumbprint(cert));
  const matches = attempt(
    `MPE_RECOVERY_TLS_KEY: ${files.key} holds no private key in PEM, one that is cut off, or one under a password`,
    () => keyMatchesCertificate(key, cert),
  );
  if (!matches)
    throw new MpeError(
      'CONFIG_INVALID',
      `${certIs} is not the certificate of the key in ${files.key}: put the pair of one issue into both files, the ` +
        'service’s own certificate first in its file',
    );
  attempt(`${certIs} and its key cannot be used for TLS; its intermediates may be damaged`, () =>
    createSecureContext(secureOptions({ key, cert })),
  );
  return { key, cert };
}

function readPem(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new MpeError('CONFIG_INVALID', `${variable}: ${file} cannot be read (${code})`);
  }
}

function attempt<T>(problem: string, work: () => T): T {
  try {
    return work();
  } catch {
    throw new MpeError('CONFIG_INVALID', problem);
  }
}
