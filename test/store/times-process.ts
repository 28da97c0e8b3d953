/**
 * A process of its own time zone: writes a dead letter for each time, then prints the times that it
 * reads back, of its own and of an earlier process.
 *
 *     TZ=Europe/Berlin node --import tsx test/store/times-process.ts <location as JSON> <client> <times as JSON>
 */
import { openStore, type StoreLocation } from '../../src/store/open-store.js';
import { readTimes, writeTimes } from './times.js';

async function main(): Promise<void> {
  const [location, client, times] = process.argv.slice(2);
  const store = await openStore(JSON.parse(location!) as StoreLocation);
  const list = JSON.parse(times!) as number[];
  await writeTimes(store, Number(client), list);
  const read: number[][] = [];
  for (let one = 1; one <= Number(client); one += 1) read.push(await readTimes(store, one, list.length));
  await store.close();
  console.log(JSON.stringify({ zoneOffset: new Date(list[0]!).getTimezoneOffset(), read }));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
