import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore } from '../../src/store/open-store.js';
import { readApart } from '../support/read-apart.js';
import { Home } from './mpe.js';

/** How many pieces of a wrapped key lie in the database's files, be they whole or scattered. */
function piecesIn(home: Home, wrapped: string): number {
  const files = readdirSync(dirname(home.database)).filter((name) => name.startsWith('site.db'));
  expect(files).toContain('site.db');
  const bytes = files.map((name) => readApart(join(dirname(home.database), name)));
  // The header of the token is in every other key as well.
  const secret = wrapped.split('.').slice(1).join('.');
  const pieces = Array.from({ length: Math.floor(secret.length / 24) }, (_, n) =>
    secret.slice(n * 24, (n + 1) * 24),
  );
  expect(pieces.length).toBeGreaterThan(10);
  return pieces.filter((piece) => bytes.some((one) => one.includes(piece))).length;
}

test('nothing of a retired sealing key is left in the database, its free pages or its log', async () => {
  const home = new Home();
  await home.init('--test-site');
  const run = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await home.mpe(args);
    expect(code, stderr).toBe(0);
  };
  // A process that has the database open keeps the log from going away.
  const worker = await openStore({ kind: 'sqlite', path: home.database });
  try {
    const old = await worker.readSealingKeys();
    expect(old).toHaveLength(2);
    await run('site-keys', 'rotate');
    await run('site-keys', 'rotate', '--again');
    for (const { wrappedPrivate } of old) expect(piecesIn(home, wrappedPrivate)).toBeGreaterThan(10);
    for (const { kid } of old) await run('site-keys', 'retire', '--', kid);
    expect((await worker.readSealingKeys()).map(({ kid }) => kid)).not.toContain(old[0]!.kid);
    for (const { wrappedPrivate } of old) expect(piecesIn(home, wrappedPrivate)).toBe(0);
    // Whoever is still there is whole.
    for (const { wrappedPrivate } of await worker.readSealingKeys())
      expect(piecesIn(home, wrappedPrivate)).toBeGreaterThan(10);
  } finally {
    await worker.close();
  }
});
