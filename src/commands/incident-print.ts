import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import { parseGuid } from '../protocol/guid.js';
import { disclosureContext } from '../recovery/disclosure/context.js';
import { printIncident, type PrintedKey } from '../recovery/incident/print-incident.js';
import { openRecoverySite } from '../recovery/open-site.js';
import { group } from './group.js';
import { operator } from './incident.js';
import { time, warn } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe incident print`: the keys of an open incident, on paper. */
export function register(program: Command): void {
  group(program, 'incident', 'Incidents: two people lift the disclosure limits for a list of machines')
    .command('print <id>')
    .description('write the keys of an open incident as a list; each is a disclosure; needs recovery/')
    .requiredOption(
      '--out <file>',
      'a new file, for its owner alone; it holds recovery keys: print it, then delete it',
    )
    .action(run);
}

async function run(id: string, options: { readonly out: string }): Promise<void> {
  const config = loadConfig();
  const incidentId = parseGuid(id);
  await withStore(config, async (store) => {
    const row = await requireSite(store);
    const clock = clockOf(config, row.testSite);
    const log = createLogger('incident', config, { fd: 2 });
    const site = await openRecoverySite(config.keysDir, store, { clock, log });
    const file = create(options.out);
    let keys = 0;
    let failed = 0;
    try {
      const context = disclosureContext(config, site, { store, clock, log });
      writeSync(file, `BitLocker recovery keys, incident ${incidentId}, ${time(clock.now())}\n\n`);
      // Whole lines, as they come: what was shown is on paper also where the rest is refused.
      for await (const printed of printIncident(context, operator(), incidentId)) {
        writeSync(file, lineOf(printed));
        if (printed.answer.outcome === 'shown') keys += 1;
        else failed += 1;
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
      site.keys.close();
      warn(
        `${keys} keys are in ${options.out}, ${failed} are named there without a key. Print it, then delete it.`,
      );
    }
    if (failed > 0) process.exitCode = 1;
  });
}

function create(path: string): number {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be made; it must be new, in a folder that is there`, {
      cause,
    });
  }
}

function lineOf({ key, answer }: PrintedKey): string {
  const machine = key.domain === '' ? key.machineName : `${key.domain}\\${key.machineName}`;
  if (answer.outcome === 'refused')
    return `${machine}\t-\t${key.keyId}\t${answer.refusal}: ${answer.detail}\n`;
  return answer.keys
    .map(
      (one) =>
        `${machine}\t${one.driveLabel || one.volumeType}\t${one.keyId}\t${String(one.value)}${one.conflicting ? '\t(conflicting)' : ''}\n`,
    )
    .join('');
}
