import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { group } from './group.js';
import { print, printJson } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe devices import`. */
export function register(program: Command): void {
  group(program, 'devices', 'The machines that there are: what coverage is measured against')
    .command('import')
    .description('import a list of machines (CSV: name, domain, hardware id, tag); all of it or nothing')
    .argument('<csv>', 'the file; "-": standard input')
    .option('--replace', 'the file is the whole list: machines that are not in it go', false)
    .option('--json', 'print JSON', false)
    .action(importDevices);
}

async function importDevices(
  path: string,
  flags: { readonly replace: boolean; readonly json: boolean },
): Promise<void> {
  const config = loadConfig();
  const { readDevices } = await import('../recovery/coverage/read-devices.js');
  const rows = readDevices(bytesOf(path));
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    const atMs = clockOf(config, site.testSite).now();
    const done = await store.policy.importDevices(rows, { replace: flags.replace, atMs });
    if (flags.json) printJson({ machines: rows.length, ...done });
    else
      print(
        `${rows.length} machines: ${done.added} added, ${done.changed} changed, ${done.unchanged} as before, ${done.removed} removed.`,
      );
  });
}

function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path === '-' ? 0 : path);
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be read`, { cause });
  }
}
