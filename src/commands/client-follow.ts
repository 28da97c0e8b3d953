import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { MemoryDrives, type VolumeInput } from '../client/index.js';
import { MpeError } from '../ops/errors.js';
import { PROTECTION_STATES, VOLUME_TYPES } from '../protocol/vocabulary.js';
import { drainAndPrint, tellEvents, withClient, type SendOptions } from './client-common.js';
import { numberOption } from './number-option.js';
import { print } from './output.js';

const drivesFile = z.strictObject({
  volumes: z.array(
    z.strictObject({
      volumeId: z.string(),
      volumeType: z.enum(VOLUME_TYPES),
      driveLabel: z.string().default(''),
      protection: z.enum(PROTECTION_STATES).default('ON'),
      protectors: z.array(z.strictObject({ keyId: z.string(), recoveryPassword: z.string() })),
    }),
  ),
});

/** Steps of a rotation, and one to see that nothing is left. */
const ROUNDS = 6;

/** `mpe client follow`: a file stands for the drives of the machine, for trials and demonstrations. */
export function registerFollow(client: Command): void {
  client
    .command('follow')
    .description('check in, then do what the site asks for: rotate keys, send what it cannot read')
    .requiredOption('--drives <file>', 'JSON file that stands for the drives; it is changed as they would be')
    .option('--machine <name>', 'the machine’s name', 'TRIAL')
    .option('--wait <seconds>', 'ask the gateway to wait', numberOption('--wait', 0, 30), 10)
    .option('--timeout <seconds>', 'go on sending for so long', numberOption('--timeout', 1, 86_400), 60)
    .option('--json', 'print JSON', false)
    .option('--verbose', 'tell every step', false)
    .action(follow);
}

async function follow(
  flags: SendOptions & { readonly drives: string; readonly machine: string },
): Promise<void> {
  const drives = new MemoryDrives(readDrives(flags.drives));
  await withClient({ ...tellEvents(flags.verbose), waitSeconds: flags.wait }, async (client) => {
    await client.checkIn({
      machineName: flags.machine,
      volumes: drives.volumes().map((volume) => ({
        ...volume,
        keyIds: volume.protectors.map((one) => one.keyId),
      })),
    });
    await drainAndPrint(client, flags);
    for (let round = 0; round < ROUNDS; round += 1) {
      const made = await client.follow(drives);
      writeDrives(flags.drives, drives.volumes());
      if (made === 0) break;
      await drainAndPrint(client, flags);
    }
    if (!flags.json) print(`${client.commands().length} commands are open`);
  });
}

function readDrives(path: string): VolumeInput[] {
  try {
    return drivesFile.parse(JSON.parse(readFileSync(path, 'utf8'))).volumes;
  } catch (cause) {
    throw new MpeError(
      'USAGE',
      `${path} is no file of drives: {"volumes":[{volumeId, volumeType, protectors:[{keyId, recoveryPassword}]}]}`,
      { cause },
    );
  }
}

/** As a whole, so that a crash leaves the drives before or after a change. */
function writeDrives(path: string, volumes: readonly VolumeInput[]): void {
  writeFileSync(`${path}.new`, `${JSON.stringify({ volumes }, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
