/**
 * A client in twenty lines, run by the tests.
 *
 *     MPE_URL=https://localhost:8443 MPE_TOKEN=mpe1.… npx tsx docs/examples/client.ts ./my-client
 */
import { MpeClient, randomRecoveryPassword } from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';

const client = await MpeClient.enrol({
  url: process.env['MPE_URL'] ?? '',
  enrolmentToken: process.env['MPE_TOKEN'] ?? '',
  state: process.argv[2] ?? './my-client',
});

// A real client reads these from Windows: volume, key ID and password of each numerical protector.
const [volumeId, keyId] = [newGuid(), newGuid()];
const protectors = [{ keyId, recoveryPassword: randomRecoveryPassword() }];
await client.escrow([{ volumeId, volumeType: 'OS', driveLabel: 'C:', protection: 'ON', protectors }]);

// From here on the process may die: the message is on disk, and the next drain sends it again.
await client.drain({ timeoutMs: 30_000 });

console.log(
  client.isSafe(volumeId, keyId) ? 'safe: an old protector may go' : 'not safe: keep every protector',
);
for (const command of client.commands()) console.log('the site asks:', command.type);
for (const held of client.held()) console.log('refused:', held.keyId, held.reason, 'group', held.badGroup);
await client.close();
