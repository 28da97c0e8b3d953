import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { verifyAudit } from '../../src/recovery/audit/verify-audit.js';
import { password } from '../workers/support.js';
import { Desk } from './desk.js';

const CHILD = fileURLToPath(new URL('disclosure-child.ts', import.meta.url));
/** Far beyond the calls of one disclosure. */
const NEVER = 10_000;

async function run(folder: string, keyId: Guid, disclosureId: Guid, fatal: number): Promise<string> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', CHILD, folder, keyId, disclosureId, String(fatal)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect(signal ?? code).toBe(fatal === NEVER ? 0 : 'SIGKILL');
  return text;
}

test('kill -9 between any two steps never shows a key without its row, nor leaves half of what goes with it', async () => {
  const desk = await Desk.open();
  const { keyId } = await desk.escrow(await desk.machine('PC-7'), password(1));
  const { folder } = desk.site;
  const db = new Database(join(folder, 'site.db'), { readonly: true });
  const count = (sql: string, ...values: string[]): number =>
    (db.prepare(sql).get(...values) as { n: number }).n;
  const stored = async (disclosureId: Guid): Promise<readonly [number, number, number]> => {
    const row = await desk.store.disclosure.findAudit(disclosureId);
    return [
      row === null ? 0 : 1,
      count('SELECT count(*) AS n FROM MPE_Exposures WHERE ExposureId = ?', disclosureId),
      count('SELECT count(*) AS n FROM MPE_ExposureRanks WHERE ExposureId = ?', disclosureId),
    ];
  };
  const whole = newGuid();
  const text = await run(folder, keyId, whole, NEVER);
  expect(text).toContain(`SHOWN ${password(1)}`);
  expect(await stored(whole)).toEqual([1, 1, 1]);
  const calls = Number(/calls (\d+)/.exec(text)?.[1]);
  // Head, chain, row, exposure, ranks, rotation and COMMIT are calls of their own.
  expect(calls).toBeGreaterThan(8);

  for (let fatal = 0; fatal < calls; fatal += 1) {
    const disclosureId = newGuid();
    expect(await run(folder, keyId, disclosureId, fatal), `killed behind call ${fatal}`).toBe('');
    // Behind COMMIT alone everything is there, though nobody saw the key.
    const done = fatal === calls - 1 ? 1 : 0;
    expect(await stored(disclosureId), `killed behind call ${fatal}`).toEqual([done, done, done]);
  }
  expect(await verifyAudit(desk.store.disclosure)).toMatchObject({ rows: 2, faults: [] });
  expect(count('SELECT count(*) AS n FROM MPE_RotationRequests')).toBe(1);
  db.close();
}, 300_000);
