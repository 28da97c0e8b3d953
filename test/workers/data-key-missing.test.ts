import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { escrow, password, TestSite, volume } from './support.js';

// A database that was restored, or failed over to a replica that was behind, while workers went on: the
// data key that a worker holds is not in it. Without a new one every key would end as a dead letter.
it('a worker whose data key the database lost makes another, and keys go on being stored', async () => {
  const site = await TestSite.create();
  const client = await site.client();
  const pipeline = await site.pipeline();
  const send = async (n: number) => {
    const sent = await client.message(escrow(volume([{ password: password(n) }])));
    const { reply, verdict } = await pipeline.processMessage(sent.job, { alone: false });
    return { disposition: reply.disposition, verdict };
  };
  expect(await send(1)).toEqual({ disposition: 'COMMITTED', verdict: 'done' });
  const [lost] = await site.store.readDataKeys();

  goBack(join(site.folder, 'site.db'));
  expect(await site.store.readDataKeys()).toEqual([]);

  expect(await send(2)).toEqual({ disposition: 'COMMITTED', verdict: 'done' });
  const [fresh, ...more] = await site.store.readDataKeys();
  expect(more).toEqual([]);
  expect(fresh?.dataKeyId).not.toBe(lost?.dataKeyId);
  expect(await site.store.counts()).toMatchObject({ secrets: 1, deadLetters: 0 });
  expect(site.lines.filter(({ event }) => event === 'worker.data_key_missing')).toHaveLength(1);
  await site.store.close();
});

/** The database of before the first data key. */
function goBack(path: string): void {
  const db = new Database(path);
  const triggers = db.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all() as {
    readonly name: string;
    readonly sql: string;
  }[];
  for (const { name } of triggers) db.exec(`DROP TRIGGER ${name}`);
  for (const table of ['KeyProofs', 'KeySecrets', 'Keys', 'Outcomes', 'DataKeyWraps', 'DataKeys'])
    db.exec(`DELETE FROM MPE_${table}`);
  for (const { sql } of triggers) db.exec(sql);
  db.close();
}
