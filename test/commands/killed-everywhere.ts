import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DRAFT } from '../../src/secrets/inventory.js';
import { countSteps, killedBehind } from '../support/killed-behind.js';
import type { Home } from './mpe.js';

/** What must hold of a site whose command was killed, and of one whose command was run again. */
export interface Seen<Between> {
  readonly between: (home: Home) => Promise<Between>;
  /** @param between - what was seen behind the kill; null where nothing was killed */
  readonly finished: (home: Home, between: Between | null) => Promise<unknown>;
}

/** More than the id of any process. */
const NOBODY = 2 ** 22 + 1;

/** A draft is kept as long as a process with its number runs: the system gives that of the killed one again. */
function ownDraftsToNobody(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (DRAFT.test(name)) renameSync(join(folder, name), join(folder, name.replace(DRAFT, `.new-${NOBODY}`)));
}

/**
 * A command, killed once at each place where it changes a file or a database, every time on a new copy of
 * the site; then run again with the same words, which must finish it.
 */
export async function killedEverywhere<Between>(
  made: Home,
  args: readonly string[],
  seen: Seen<Between>,
): Promise<void> {
  const undisturbed = made.copy();
  const steps = await countSteps(args, { cwd: undisturbed.folder });
  await seen.finished(undisturbed, null);
  expect(steps).toBeGreaterThan(5);
  for (let step = 1; step <= steps; step += 1) {
    const home = made.copy();
    const where = `${args.join(' ')}, killed behind change ${step} of ${steps}`;
    try {
      expect(await killedBehind(step, args, { cwd: home.folder })).toMatchObject({ killed: true });
      ownDraftsToNobody(home.folder);
      const between = await seen.between(home);
      const again = await home.mpe(args);
      expect(again.code, again.stderr).toBe(0);
      await seen.finished(home, between);
    } catch (error) {
      throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
}
