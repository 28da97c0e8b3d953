import { readFileSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { addCertificate } from '../secrets/add-certificate.js';
import { certificateExpiry } from '../secrets/certificate-expiry.js';
import { readPemPairs } from '../secrets/certificate-pem.js';
import type { CertificatePems } from '../secrets/certificate.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { readPkcs12 } from '../secrets/pkcs12.js';
import { nextSteps } from './certificate-create.js';
import { group } from './group.js';
import { print, warn } from './output.js';
import { PASSWORD_OPTION, readPassword } from './password.js';

interface Options {
  readonly key?: string;
  readonly passwordFile?: string;
}

/** `mpe certificate import`: takes a certificate that was made elsewhere. */
export function register(program: Command): void {
  group(program, 'certificate', '')
    .command('import')
    .description('take a certificate with its key from a PKCS #12 file or from PEM into the key folder')
    .argument('<file>', 'a PKCS #12 file, or the certificate as PEM')
    .option('--key <file>', 'its private key as PEM, where it is not in the same file')
    .option(...PASSWORD_OPTION)
    .addHelpText(
      'after',
      '\nIts common name must be BitLockerManagement_CERT and its key RSA of 3072 bits or more; purposes and' +
        '\nissuer do not matter. Nothing uses it until "mpe certificate rotate".',
    )
    .action(run);
}

async function run(file: string, options: Options): Promise<void> {
  const config = loadConfig();
  const keyFolder = await openKeyFolder(config.keysDir, 'anyone');
  const [pems, ...more] = await readPairs(file, options);
  if (pems === undefined || more.length > 0)
    throw new MpeError(
      'USAGE',
      `${file} holds ${more.length + 1} certificates with keys; one at a time is imported`,
    );
  const { certificate, added } = addCertificate(keyFolder.path, pems);
  const { warning } = certificateExpiry(certificate.pem, clockOf(config, false).now());
  if (warning !== null) warn(`warning: ${warning}`);
  print(
    added
      ? `Imported certificate ${certificate.thumbprint}.`
      : `Certificate ${certificate.thumbprint} is here already.`,
    '',
    ...nextSteps(keyFolder.path),
  );
}

async function readPairs(file: string, options: Options): Promise<readonly CertificatePems[]> {
  const bytes = read(file);
  if (!bytes.includes('-----BEGIN ')) return readPkcs12(bytes, await readPassword(options));
  // Each is read once: a pipe gives its bytes a single time.
  const files = [[file, bytes.toString('utf8')]];
  if (options.key !== undefined) files.push([options.key, read(options.key).toString('utf8')]);
  for (const [path = '', content = ''] of files) assertOwnKey(path, content);
  const text = files.map(([, content]) => content).join('\n');
  return readPemPairs(text, text.includes('ENCRYPTED') ? await readPassword(options) : null);
}

/** An unencrypted private key that others may read is refused, as it is in the key folder. */
function assertOwnKey(path: string, content: string): void {
  if (process.platform === 'win32' || !/-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/.test(plain(content))) return;
  if ((statSync(path).mode & 0o077) === 0) return;
  throw new MpeError(
    'USAGE',
    `${path} holds a private key and can be read by others. Treat it as known to whoever could read it; if nobody ` +
      `else could: chmod go= ${path}`,
  );
}

/** Text without keys that are encrypted, in either form. */
function plain(content: string): string {
  return content.replace(
    /-----BEGIN ENCRYPTED PRIVATE KEY-----|-----BEGIN [A-Z]+ PRIVATE KEY-----\r?\nProc-Type: 4,ENCRYPTED/g,
    '',
  );
}

/** Reads a file that an operator named. */
export function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be read`, { cause });
  }
}
