import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { MpeError } from '../ops/errors.js';
import type { PolicySettingsInput } from '../recovery/policy/settings.js';
import { numberOption } from './number-option.js';
import { RING_FORM, ringOption } from './ring-option.js';

/** What a file of settings is. */
const FILE_FORM = 'it must be an object as "settings" of "mpe policy show --json"';

/** Options of `mpe policy create` and `set` as commander gives them. */
export interface PolicyFlags {
  readonly name?: string;
  readonly mode?: 'OBSERVE' | 'ESCROW' | 'MANAGE';
  readonly tag?: string;
  readonly allClients?: true;
  readonly recoveryInformation?: string;
  readonly removableDrives?: boolean;
  readonly tpm?: boolean;
  readonly checkInterval?: number;
  readonly mbamMigration?: boolean;
  readonly rotateBesideOthers?: boolean;
  readonly ring?: readonly ReturnType<typeof ringOption>[];
  readonly rings?: false;
  readonly file?: string;
  readonly json: boolean;
}

/** The options by which `create` and `set` take settings. */
export function settingOptions(command: Command): Command {
  return command
    .option(
      '--mode <mode>',
      'observe (check-ins alone), escrow, or manage (may begin rotations by itself)',
      modeOption,
    )
    .option('--tag <tag>', 'only for clients with this tag: 1 to 64 of A-Z a-z 0-9 . _ -')
    .option('--all-clients', 'for every client')
    .option('--recovery-information <what>', 'PasswordAndPackage or PasswordOnly')
    .option('--removable-drives', 'take keys of removable drives')
    .option('--no-removable-drives', 'refuse them')
    .option('--tpm', 'take TPM owner authorizations')
    .option('--no-tpm', 'refuse them')
    .option(
      '--check-interval <minutes>',
      'minutes between check-ins, 1 to 2880; below 60 with a warning',
      numberOption('--check-interval', 1, 2880),
    )
    .option(
      '--mbam-migration',
      'replace keys that MBAM had before, paced by the rings (needs --mode manage and --ring)',
    )
    .option('--no-mbam-migration', 'leave them')
    .option('--rotate-beside-others', 'rotate although MBAM, group policy or Intune manages a machine too')
    .option('--no-rotate-beside-others', 'never rotate there')
    .option(
      '--ring <ring>',
      `a ring of targets; several in their order; rings that are not named go: ${RING_FORM}`,
      (text: string, before: readonly ReturnType<typeof ringOption>[] | undefined) => [
        ...(before ?? []),
        ringOption(text),
      ],
    )
    .option('--no-rings', 'without rings')
    .option('--file <path>', 'settings as JSON, e.g. of "mpe policy show --json"; options come after them')
    .option('--json', 'print it as JSON', false);
}

function modeOption(text: string): NonNullable<PolicyFlags['mode']> {
  const mode = (['OBSERVE', 'ESCROW', 'MANAGE'] as const).find((word) => word === text.toUpperCase());
  if (mode !== undefined) return mode;
  throw new MpeError('USAGE', '--mode must be observe, escrow or manage');
}

function storePackages(text: string): boolean {
  if (/^PasswordAndPackage$/i.test(text)) return true;
  if (/^PasswordOnly$/i.test(text)) return false;
  throw new MpeError('USAGE', '--recovery-information must be PasswordAndPackage or PasswordOnly');
}

/**
 * What the options say; what they leave out stays.
 *
 * @throws MpeError USAGE
 */
export function inputOf(flags: PolicyFlags): PolicySettingsInput {
  if (flags.tag !== undefined && flags.allClients === true)
    throw new MpeError('USAGE', 'give --tag or --all-clients, not both');
  if (flags.ring !== undefined && flags.rings === false)
    throw new MpeError('USAGE', 'give --ring or --no-rings, not both');
  return {
    ...(flags.file === undefined ? {} : fromFile(flags.file)),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.mode === undefined ? {} : { mode: flags.mode }),
    ...(flags.tag === undefined ? {} : { targetTag: flags.tag }),
    ...(flags.allClients === true ? { targetTag: null } : {}),
    ...(flags.recoveryInformation === undefined
      ? {}
      : { storePackages: storePackages(flags.recoveryInformation) }),
    ...(flags.removableDrives === undefined ? {} : { removableDrives: flags.removableDrives }),
    ...(flags.tpm === undefined ? {} : { tpmOwnerAuth: flags.tpm }),
    ...(flags.checkInterval === undefined ? {} : { checkIntervalMinutes: flags.checkInterval }),
    ...(flags.mbamMigration === undefined ? {} : { mbamMigration: flags.mbamMigration }),
    ...(flags.rotateBesideOthers === undefined ? {} : { rotateBesideOthers: flags.rotateBesideOthers }),
    ...(flags.rings === false ? { rings: [] } : {}),
    ...(flags.ring === undefined ? {} : { rings: [...flags.ring] }),
  };
}

function fromFile(path: string): PolicySettingsInput {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new MpeError('USAGE', `--file: ${path} cannot be read`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new MpeError('USAGE', `--file: ${path} is not JSON; ${FILE_FORM}`, { cause });
  }
  const value = typeof json === 'object' && json !== null && 'settings' in json ? json.settings : json;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new MpeError('USAGE', `--file: ${path} holds no settings; ${FILE_FORM}`);
}
