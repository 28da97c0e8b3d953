// A process of one release that commits messages: release-load.mjs <dist> <store location> <client> <count>
// Prints each message id once it is committed. The last third waits for the end of standard input, so that
// what happens beside it comes in the middle of its work. Plain JavaScript, so that it loads any build.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';

const [, , dist, location, clientId, count] = process.argv;
const { openStore } = await import(pathToFileURL(`${dist}/store/open-store.js`).href);
const say = (line) => process.stdout.write(`${line}\n`);
try {
  const store = await openStore(JSON.parse(location));
  const goOn = once(process.stdin.resume(), 'end');
  const lastThird = Math.ceil((Number(count) * 2) / 3);
  for (let n = 1; n <= Number(count); n += 1) {
    if (n > lastThird) await goOn;
    const messageId = `${clientId.slice(0, 8)}-0000-4000-9000-${String(n).padStart(12, '0')}`;
    const rank = { epoch: 1, sequence: BigInt(n), digest: createHash('sha256').update(messageId).digest() };
    const outcome = {
      ...{ clientId, messageId, ...rank, bodyType: 'UNKNOWN', disposition: 'COMMITTED', reason: 'NONE' },
      ...{ sealedReply: 'x', attempts: 1, stages: [], receivedAtMs: 1, decidedAtMs: 1, decidedBy: 'load' },
    };
    const candidate = {
      ...{ clientId, messageId, bodyType: 'UNKNOWN', rank, secrets: [], volumes: [], state: null },
      ...{ rotation: null, leavesOutcome: true },
    };
    const plan = { candidate, outcome, outcomeMode: 'insert', secrets: [], effects: false, atMs: 1 };
    for (;;) {
      const [result] = await store.apply([plan]).catch((error) => {
        if (error.code !== 'STORE_TRANSIENT') throw error;
        return [{ kind: 'again' }];
      });
      if (result.kind === 'applied' || result.kind === 'raced') break;
      if (result.kind === 'failed') throw result.error;
    }
    say(messageId);
  }
  await store.close();
} catch (error) {
  say(`ERROR ${error.code ?? ''} ${error.message}`);
  process.exitCode = 1;
}
