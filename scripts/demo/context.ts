import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomRecoveryPassword } from '../../src/client/index.js';
import type { FixtureMaterial } from '../../src/replay/material.js';
import { Engine } from '../../test/support/engine.js';
import { fixtureMaterial, initFixtureSite } from '../../test/support/fixture-engine.js';
import type { MadeMessage, OwnCopy, Told } from '../../test/support/fleet.js';
import type { Screen } from './screen.js';

/** What the parts of the demo share. */
export interface DemoContext {
  readonly screen: Screen;
  readonly engine: Engine;
  readonly material: FixtureMaterial;
  readonly enrolmentToken: string;
  /** A made-up password that must be found nowhere but sealed or encrypted. */
  readonly canary: string;
  /** Everything the demo's own clients sent, and what they were told. */
  readonly messages: MadeMessage[];
  readonly told: Told[];
  /** Secrets of the recorded cases. */
  readonly recorded: OwnCopy[];
  /** Outcomes of the recorded cases. */
  recordedOutcomes: number;
}

/** A promise of the demo that did not hold: its text is the failing line. */
export class DemoFailure extends Error {}

/** Fails the demo with a line unless a condition holds. */
export function must(condition: boolean, line: string): void {
  if (!condition) throw new DemoFailure(line);
}

/** Two worker processes, everything logged, and a private folder. */
export async function makeContext(screen: Screen): Promise<DemoContext> {
  // Not under our own temporary-folder helper: this one stays where something fails or --keep is given.
  const folder = mkdtempSync(join(tmpdir(), 'mpe-demo-'));
  const settings = {
    MPE_LOG_LEVEL: 'trace',
    // Shorter than the default, so that a killed worker's jobs come again while people look on; long enough
    // for a worker that lives on a busy machine.
    MPE_QUEUE_LOCK_MS: '5000',
    MPE_QUEUE_STALLED_MS: '1000',
  };
  const engine = Engine.at({ folder, workers: 2, settings });
  const material = fixtureMaterial();
  try {
    const enrolmentToken = await initFixtureSite(engine, material);
    return {
      ...{ screen, engine, material, enrolmentToken },
      canary: randomRecoveryPassword(),
      messages: [],
      told: [],
      recorded: [],
      recordedOutcomes: 0,
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Writes what a person needs to use the kept engine: settings to source, and how to end it. */
export function writeKeepFiles(engine: Engine): { env: string; stop: string } {
  const env = join(engine.folder, 'env');
  const stop = join(engine.folder, 'stop.sh');
  const settings = { ...engine.environment(), MPE_CLIENT_HOME: join(engine.folder, 'client') };
  const lines = Object.entries(settings).filter(([name]) => name.startsWith('MPE_'));
  writeFileSync(
    env,
    `${lines.map(([name, value]) => `export ${name}='${value}'`).join('\n')}\nexport MPE_LOG_LEVEL=info\n`,
  );
  const pids = [...engine.processes().map((one) => one.pid), engine.redis.pid];
  writeFileSync(stop, `kill ${pids.join(' ')}; sleep 3; rm -rf '${engine.folder}'\n`);
  return { env, stop };
}
