import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { diffDumps, dumpOf, hashLinesText, readSide } from '../replay/site-hash.js';
import { group } from './group.js';
import { print } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe site hash|dump|diff`: what a site knows, as one number, as lines, as a difference. */
export function register(program: Command): void {
  const site = group(program, 'site', 'The site: its keys, its document, its database');
  site
    .command('hash')
    .description('print the site hash: equal where two sites under one fingerprint key know the same')
    .action(async () => {
      print(hashLinesText(await dumpHere()));
    });
  site
    .command('dump')
    .description('print the lines that are hashed: clients, keys, proofs, reports; no secret is in them')
    .action(async () => {
      for (const line of await dumpHere()) print(line);
    });
  site
    .command('diff <a> <b>')
    .description('compare two SQLite site databases or dumps row by row; exit 1 where they differ')
    .action(diff);
}

async function dumpHere(): Promise<readonly string[]> {
  return withStore(
    loadConfig(),
    async (store) => {
      await requireSite(store);
      return dumpOf(store);
    },
    { readOnly: true },
  );
}

async function diff(a: string, b: string): Promise<void> {
  const lines = diffDumps(await readSide(a), await readSide(b));
  if (lines.length === 0) {
    print('no difference');
    return;
  }
  print(...lines, `${lines.length} rows differ  (- only in ${a}, + only in ${b})`);
  process.exitCode = 1;
}
