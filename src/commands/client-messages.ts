import { hostname } from 'node:os';
import type { Command } from 'commander';
import { z } from 'zod';
import { randomRecoveryPassword, type VolumeInput } from '../client/index.js';
import { MpeError } from '../ops/errors.js';
import { newGuid } from '../protocol/guid.js';
import { PROTECTION_STATES, ROTATION_OUTCOMES, VOLUME_TYPES } from '../protocol/vocabulary.js';
import { drainAndPrint, readJson, tellEvents, withClient, type SendOptions } from './client-common.js';
import { numberOption } from './number-option.js';
import { print } from './output.js';

const volume = z.strictObject({
  volumeId: z.string(),
  volumeType: z.enum(VOLUME_TYPES),
  driveLabel: z.string().optional(),
  protection: z.enum(PROTECTION_STATES).optional(),
  protectors: z.array(
    z.strictObject({
      keyId: z.string(),
      recoveryPassword: z.string().optional(),
      keyPackageBase64: z.base64().optional(),
    }),
  ),
});
const escrowFile = z.strictObject({ volumes: z.array(volume).min(1) });
const checkInFile = z.strictObject({
  machineName: z.string().optional(),
  domain: z.string().optional(),
  users: z.array(z.strictObject({ domain: z.string(), name: z.string() })).optional(),
  volumes: z.array(
    z.strictObject({
      volumeId: z.string(),
      volumeType: z.enum(VOLUME_TYPES),
      driveLabel: z.string().optional(),
      protection: z.enum(PROTECTION_STATES).optional(),
      keyIds: z.array(z.string()),
    }),
  ),
});

/** The same options on each command that sends. */
function sends(command: Command): Command {
  return command
    .option('--wait <seconds>', 'ask the gateway to wait', numberOption('--wait', 0, 30), 10)
    .option('--timeout <seconds>', 'go on sending for so long', numberOption('--timeout', 1, 86_400), 60)
    .option('--json', 'print JSON', false)
    .option('--verbose', 'tell every step', false);
}

/** `mpe client escrow|escrow-tpm|check-in|report-rotation|send`. */
export function registerMessages(client: Command): void {
  sends(client.command('escrow'))
    .description(
      'escrow recovery keys: {"volumes":[{volumeId, volumeType, protectors:[{keyId, recoveryPassword}]}]}',
    )
    .option('--from <file>', 'JSON file, "-" for standard input')
    .option('--random', 'a new volume with a random key, for trials', false)
    .action(escrow);
  sends(client.command('escrow-tpm'))
    .description('escrow the TPM owner authorization')
    .requiredOption('--from <file>', 'JSON file {"ownerAuthBase64": "…"}, "-" for standard input')
    .action(escrowTpm);
  sends(client.command('check-in'))
    .description('report the state of the machine')
    .option('--from <file>', 'JSON file {machineName, domain, users, volumes}, "-" for standard input')
    .action(checkIn);
  sends(client.command('report-rotation'))
    .description('report what became of a RotateKey command')
    .requiredOption('--request <guid>', 'request id of the command')
    .requiredOption('--outcome <word>', ROTATION_OUTCOMES.join(', '))
    .option('--new-key <guid>', 'the protector that was added')
    .option('--error <text>', 'what went wrong')
    .action(reportRotation);
  sends(client.command('send'))
    .description('send what is pending')
    .action((flags: SendOptions) =>
      withClient({ ...tellEvents(flags.verbose), waitSeconds: flags.wait }, (one) =>
        drainAndPrint(one, flags),
      ),
    );
}

async function escrow(flags: SendOptions & { from?: string; random: boolean }): Promise<void> {
  if ((flags.from === undefined) === !flags.random) {
    throw new MpeError('USAGE', 'give the keys by --from, or --random for a trial');
  }
  const volumes =
    flags.from === undefined ? randomVolume() : volumesOf(parse(escrowFile, readJson(flags.from)));
  await withClient({ ...tellEvents(flags.verbose), waitSeconds: flags.wait }, async (one) => {
    await one.escrow(volumes);
    await drainAndPrint(one, flags);
  });
}

function volumesOf(file: z.output<typeof escrowFile>): VolumeInput[] {
  return file.volumes.map(({ volumeId, volumeType, driveLabel, protection, protectors }) => ({
    volumeId,
    volumeType,
    ...(driveLabel === undefined ? {} : { driveLabel }),
    ...(protection === undefined ? {} : { protection }),
    protectors: protectors.map(({ keyId, recoveryPassword, keyPackageBase64 }) => ({
      keyId,
      ...(recoveryPassword === undefined ? {} : { recoveryPassword }),
      ...(keyPackageBase64 === undefined ? {} : { keyPackage: Buffer.from(keyPackageBase64, 'base64') }),
    })),
  }));
}

function randomVolume(): VolumeInput[] {
  const keyId = newGuid();
  print(`a random key, for trials: key ID ${keyId}`);
  return [
    {
      volumeId: newGuid(),
      volumeType: 'OS',
      driveLabel: 'C:',
      protection: 'ON',
      protectors: [{ keyId, recoveryPassword: randomRecoveryPassword() }],
    },
  ];
}

async function escrowTpm(flags: SendOptions & { from: string }): Promise<void> {
  const { ownerAuthBase64 } = parse(
    z.strictObject({ ownerAuthBase64: z.base64().optional() }),
    readJson(flags.from),
  );
  await withClient({ ...tellEvents(flags.verbose), waitSeconds: flags.wait }, async (one) => {
    await one.escrowTpm(ownerAuthBase64 === undefined ? undefined : Buffer.from(ownerAuthBase64, 'base64'));
    await drainAndPrint(one, flags);
  });
}

async function checkIn(flags: SendOptions & { from?: string }): Promise<void> {
  const file = flags.from === undefined ? { volumes: [] } : parse(checkInFile, readJson(flags.from));
  await withClient({ ...tellEvents(flags.verbose), waitSeconds: flags.wait }, async (one) => {
    await one.checkIn({
      machineName: file.machineName ?? hostname(),
      domain: file.domain ?? '',
      users: file.users ?? [],
      volumes: file.volumes.map(({ volumeId, volumeType, driveLabel, protection, keyIds }) => ({
        volumeId,
        volumeType,
        keyIds,
        driveLabel: driveLabel ?? '',
        protection: protection ?? 'UNREPORTED',
      })),
    });
    await drainAndPrint(one, flags);
  });
}

async function reportRotation(
  flags: SendOptions & { request: string; outcome: string; newKey?: string; error?: string },
): Promise<void> {
  const outcome = ROTATION_OUTCOMES.find((word) => word === flags.outcome.toUpperCase());
  if (outcome === undefined) {
    throw new MpeError('USAGE', `--outcome is one of ${ROTATION_OUTCOMES.join(', ')}`);
  }
  await withClient({ ...tellEvents(flags.verbose), waitSeconds: flags.wait }, async (one) => {
    await one.reportRotation({
      requestId: flags.request,
      outcome,
      ...(flags.newKey === undefined ? {} : { newKeyId: flags.newKey }),
      ...(flags.error === undefined ? {} : { errorText: flags.error }),
    });
    await drainAndPrint(one, flags);
  });
}

/** Checks a file's shape; the error names fields, never values. */
function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.map(String).join('.')}: ${issue.code}`);
  throw new MpeError('USAGE', `the JSON does not have the form that --help shows: ${problems.join('; ')}`);
}
