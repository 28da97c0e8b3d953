import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { addCertificate } from '../secrets/add-certificate.js';
import { CERTIFICATE_BITS, CERTIFICATE_NAME } from '../secrets/certificate.js';
import { CERTIFICATE_YEARS, createCertificate } from '../secrets/create-certificate.js';
import { lookAtCertificates } from './certificate-site.js';
import { group } from './group.js';
import { numberOption } from './number-option.js';
import { print } from './output.js';
import { withStore } from './with-store.js';

/** `mpe certificate create`: makes the certificate that follows. */
export function register(program: Command): void {
  group(program, 'certificate', `The BitLocker management encryption certificate, ${CERTIFICATE_NAME}`)
    .command('create')
    .description(
      'make a new certificate with its key in the key folder; nothing uses it until it is rotated to',
    )
    .option('--years <n>', 'its life', numberOption('--years', 1, 50), CERTIFICATE_YEARS)
    .action(create);
}

async function create(options: { readonly years: number }): Promise<void> {
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const { keyFolder, states, clock } = await lookAtCertificates(config, store);
      const waiting = states.find((state) => state.role === 'waiting');
      if (waiting !== undefined) {
        throw new MpeError(
          'USAGE',
          `the certificate ${waiting.thumbprint} waits in this key folder already: change to it with "mpe certificate ` +
            'rotate", or move its files away first',
        );
      }
      const pems = await createCertificate(clock.now(), options.years);
      const { certificate } = addCertificate(keyFolder.path, pems);
      print(
        `Made ${CERTIFICATE_NAME} ${certificate.thumbprint}, RSA-${CERTIFICATE_BITS}, ${options.years} years.`,
        '',
        ...nextSteps(keyFolder.path),
      );
    },
    { readOnly: true },
  );
}

/** What an operator does with a certificate that was just made or imported. */
export function nextSteps(folder: string): readonly string[] {
  return [
    'Nothing uses it yet. In this order:',
    '  1. mpe certificate backup FILE      and keep the file apart from the database',
    `  2. copy worker/ of ${folder} to every host of a worker,`,
    '     recovery/ to every host of the recovery service',
    '  3. mpe certificate rotate           where root/ and recovery/ are',
  ];
}
