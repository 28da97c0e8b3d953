/**
 * A client program that is killed: makes messages as fast as it can and sends them meanwhile. For
 * each message that is on disk it prints one line, so that the test knows what must not be lost.
 *
 * Arguments: folder, how many messages to make (0: only send what is pending, then end).
 */
import { MpeClient, randomRecoveryPassword } from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';

const [folder = '', count = '0'] = process.argv.slice(2);
const client = await MpeClient.load(folder, {
  backoff: { baseMs: 20, capMs: 200 },
  waitSeconds: 5,
  concurrency: 8,
});
process.stdout.write('loaded\n');

const volumeId = newGuid();
async function make(): Promise<void> {
  for (let index = 0; index < Number(count); index += 1) {
    const keyId = newGuid();
    const protectors = [{ keyId, recoveryPassword: randomRecoveryPassword() }];
    const [messageId] = await client.escrow([{ volumeId, volumeType: 'OS', protectors }]);
    process.stdout.write(`made ${messageId ?? ''} ${volumeId} ${keyId}\n`);
    // Leaves room for sending: kills are to hit both.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
const making = make();
const progress = { made: false };
void making.then(() => {
  progress.made = true;
});
do await client.drain({ timeoutMs: 1000 });
while (!progress.made || client.pending().length > 0);
await making;
await client.close();
process.stdout.write('done\n');
