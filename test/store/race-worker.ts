/**
 * A process of the race: commits the same messages as its rivals, each twice, shuffled, in groups
 * of changing size. Prints `w <message id>` for each message that it was told it wrote, `g` after
 * each group, `end` at the end.
 *
 *     node --import tsx test/store/race-worker.ts <location as JSON> <count> <message seed> <own seed> <groups>
 *
 * After that many groups it stands still until it is killed; 0: it goes on to its end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { commitGroup } from '../../src/store/commit/commit-group.js';
import { openStore, type StoreLocation } from '../../src/store/open-store.js';
import { SeededRandom } from '../support/random.js';
import { raceMessages } from './race-messages.js';
import { candidate, DATA_KEY, testPlanner } from './world.js';

async function main(): Promise<void> {
  const [location, count, messageSeed, ownSeed, standStillAfter] = process.argv.slice(2);
  const store = await openStore(JSON.parse(location!) as StoreLocation);
  const random = new SeededRandom(Number(ownSeed));
  const messages = raceMessages(Number(count), Number(messageSeed));
  let groups = 0;
  let open = random.shuffle([...messages, ...messages]);
  while (open.length > 0) {
    const group = open.splice(0, random.between(1, 12));
    const results = await commitGroup(
      store,
      group.map(candidate),
      testPlanner({ dataKeyId: DATA_KEY.dataKeyId }),
    );
    const again = group.filter((_, i) => results[i]!.kind === 'transient');
    open = [...open, ...again];
    results.forEach((result, i) => {
      if (result.kind === 'failed') throw result.error;
      if (result.kind !== 'done') return;
      if (result.reply === 'MESSAGE_ID_REUSED') throw new Error('a message was taken for another');
      if (result.written && candidate(group[i]!).leavesOutcome) console.log(`w ${group[i]!.message}`);
    });
    console.log('g');
    groups += 1;
    if (groups === Number(standStillAfter)) await sleep(300_000);
  }
  await store.close();
  console.log('end');
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
