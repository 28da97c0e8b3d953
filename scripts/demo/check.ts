import { join } from 'node:path';
import { auditSite, openSite, siteHashOf } from '../../test/support/site-audit.js';
import { readAll, searchIn, spellingsOfPassword, spellingsOfText } from '../../test/support/canary.js';
import { must, type DemoContext } from './context.js';
import type { WalkedMessage } from './one-message.js';
import type { RecordedCases } from './recorded-cases.js';

/** Part 5: what the whole came to. */
export async function check(
  context: DemoContext,
  walked: WalkedMessage,
  cases: RecordedCases,
): Promise<void> {
  const { screen, engine } = context;
  screen.part('check');
  const audit = await auditSite(engine.home, context.messages, context.told, {
    secrets: context.recorded,
    outcomes: context.recordedOutcomes,
  });
  must(
    audit.unreadable.length === 0,
    `does not open, or not to the client's copy: ${audit.unreadable.slice(0, 5).join(', ')}`,
  );
  must(audit.surplus.length === 0, `stored, and no client sent it: ${audit.surplus.slice(0, 5).join(', ')}`);
  screen.ok(`${audit.opened} stored secrets opened with the certificate: every one equals its client's copy`);

  await searchCanary(context, walked);

  const before = await siteHashOf(engine.home);
  const keysBefore = await keysOf(engine.home);
  const again = await cases.playAgain(7);
  const after = await siteHashOf(engine.home);
  must(before === after, `the site hash was ${before} and is ${after} after the cases were sent again`);
  const keysWritten = (await keysOf(engine.home)) - keysBefore;
  must(keysWritten === 0, `${keysWritten} keys were written when the cases were sent again`);
  const short = (hash: string): string => `${hash.slice(0, 4)}…${hash.slice(-2)}`;
  screen.ok(
    `site hash ${short(before)} · ${again.sent} recorded messages again, in another order: ${short(after)}, ${keysWritten} keys written`,
  );
  await findKey(context, walked);
}

async function searchCanary(context: DemoContext, walked: WalkedMessage): Promise<void> {
  const { screen, engine, canary } = context;
  const metrics = await (await fetch(`${engine.opsUrl}/metrics`)).text();
  const contents = readAll([join(engine.folder, 'redis'), engine.logs]);
  const logs = [...contents.keys()].filter((name) => name.startsWith(engine.logs)).length;
  const site = readAll([engine.home]);
  for (const [name, bytes] of site) if (name.includes('site.db')) contents.set(name, bytes);
  contents.set('metrics', Buffer.from(metrics));
  const hits = searchIn(contents, spellingsOfPassword(canary));
  must(
    hits.length === 0,
    `the canary password is in ${hits.map((hit) => `${hit.where} (${hit.spelling})`).join(', ')}`,
  );
  // The same search for something that must be there: the client's id, in text or bytes.
  const id = walked.clientId;
  const control = searchIn(
    contents,
    new Map([...spellingsOfText(id), ['bytes', Buffer.from(id.replaceAll('-', ''), 'hex')]]),
  );
  const places = new Set(
    control.map((hit) =>
      hit.where.startsWith(engine.logs) ? 'logs' : hit.where.includes('site.db') ? 'SQLite' : 'AOF',
    ),
  );
  must(places.size === 3, `the control search found the client's id in ${[...places].join(', ')} only`);
  const megabytes = [...contents.values()].reduce((sum, bytes) => sum + bytes.length, 0) / 1e6;
  screen.ok(
    `canary password: 0 hits in Redis AOF, ${logs} logs at trace level, metrics, SQLite: ${megabytes.toFixed(1)} MB (control search: the client's id is in ${[...places].sort().join(', ')})`,
  );
}

async function keysOf(home: string): Promise<number> {
  const store = await openSite(home);
  try {
    return (await store.counts()).keys;
  } finally {
    await store.close();
  }
}

/** Finds the walked message's key by eight digits, through the command line. */
async function findKey(context: DemoContext, walked: WalkedMessage): Promise<void> {
  const { screen, engine, canary } = context;
  const digits = walked.keyId.slice(0, 8).toUpperCase();
  const { stdout } = await engine.run(['keys', 'find', digits]);
  must(stdout.includes(walked.keyId), `mpe keys find ${digits} does not show ${walked.keyId}`);
  must(!stdout.includes(canary.slice(0, 13)), 'mpe keys find shows a recovery password');
  screen.say(`mpe keys find ${digits}`);
  for (const line of stdout.split('\n')) if (line.trim() !== '') screen.say(`  ${line}`);
}
