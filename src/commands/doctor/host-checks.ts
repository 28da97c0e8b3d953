import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { dirname, join } from 'node:path';
import { dropsSentChain, SENT_CHAIN_FIX } from '../../ops/sent-chain.js';
import { inventoryOf, isFault, type InventoryEntry } from '../../secrets/inventory.js';
import { openKeyFolder } from '../../secrets/key-folder.js';
import { changedSince, readStamp } from '../../secrets/backup/stamp.js';
import { secretSettings } from '../../secrets/secret-settings.js';
import type { DoctorContext } from './context.js';
import { failure, ok, warning, type Check, type Verdict } from './finding.js';

const DAY_MS = 86_400_000;
const GIB = 2 ** 30;
/** Without a change of keys too a backup should be tried now and then. */
const OLD_BACKUP_DAYS = 180;

/** Checks of this host alone: they need nothing to be up. */
export function hostChecks(context: DoctorContext): readonly Check[] {
  const { config } = context;
  return [
    { name: 'node', fix: 'install Node 22 or 24', run: () => [nodeVersion(process.versions.node)] },
    { name: 'configuration', fix: 'see docs/configuration.md', run: () => configuration(context) },
    { name: 'key folder', fix: 'check MPE_KEYS_DIR', run: () => keyFolder(config.keysDir) },
    { name: 'certificates', fix: 'check MPE_KEYS_DIR', run: () => certificates(config.keysDir, Date.now()) },
    { name: 'backup', fix: 'run "mpe backup FILE"', run: () => [backup(context, Date.now())] },
    { name: 'disk space', fix: 'check the disk', run: () => diskSpace(context) },
  ];
}

/** The releases that are tested; 20 is past its end of life and still works. */
export function nodeVersion(version: string): Verdict {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    return failure(`Node ${version} is too old: 20.19 is the least`, 'install Node 22 or 24');
  if (major === 20) return ok(`Node ${version}; past its end of life, better 22 or 24`);
  if (dropsSentChain(version))
    return warning(`Node ${version} drops the intermediate certificates that clients send`, SENT_CHAIN_FIX);
  if (major === 22 || major === 24) return ok(`Node ${version}`);
  return warning(`Node ${version} is not among the tested ones`, 'use Node 22 or 24');
}

function configuration({ configProblems }: DoctorContext): readonly Verdict[] {
  const fix = 'set it right; docs/configuration.md lists every setting';
  const secrets = secretSettings(process.env).flatMap(({ name, file, state }) => {
    if (state === 'ok') return [];
    if (state === 'in the environment')
      return [
        warning(`${name} holds a secret in the environment`, `put it into a file and set ${name}_FILE`),
      ];
    if (state === 'open to others')
      return [warning(`${name} names a file that others may read`, `chmod go= ${file ?? ''}`)];
    return [failure(`${name} names a file that is ${state}`, 'put the file there, readable by this account')];
  });
  if (configProblems.length > 0) return [...configProblems.map((line) => failure(line, fix)), ...secrets];
  return [ok('every setting is right'), ...secrets];
}

async function keyFolder(keysDir: string): Promise<readonly Verdict[]> {
  // Throws where it is missing, empty or foreign, and says what to do.
  const { siteGuid } = await openKeyFolder(keysDir, 'anyone');
  const files = inventoryOf(keysDir);
  const faults = files.filter(({ state }) => isFault(state)).map((entry) => fileVerdict(keysDir, entry));
  const unsound = await Promise.all(
    (['gateway', 'worker', 'recovery'] as const)
      .filter((role) => existsSync(join(keysDir, role)))
      .map(async (role) =>
        openKeyFolder(keysDir, role).then(
          () => [],
          (error: unknown) => [
            failure(
              error instanceof Error ? error.message : `${role}/ is damaged`,
              'restore it: mpe restore FILE --roles',
            ),
          ],
        ),
      ),
  );
  const all = [...faults, ...(faults.some(({ state }) => state === 'fail') ? [] : unsound.flat())];
  const parts = files.filter(({ path }) => path.endsWith('/')).map(({ path }) => path);
  return all.length > 0 ? all : [ok(`${keysDir}: site ${siteGuid}; ${parts.join(', ')}`)];
}

function fileVerdict(keysDir: string, { path, state, secret, mode }: InventoryEntry): Verdict {
  const place = join(keysDir, path);
  switch (state) {
    case 'missing':
      return failure(
        `${path} is missing`,
        'restore it: mpe restore FILE --into an empty folder, then copy it here',
      );
    case 'open to others':
      return failure(
        `${path} can be read by others (mode ${mode ?? '?'})`,
        `chmod go= ${place}; if somebody could read it, change that key`,
      );
    case 'another owner':
      return warning(`${path} does not belong to the owner of the folder`, `chown it: ${place}`);
    case 'unreadable':
      return failure(`${path} cannot be read by this account`, `run as the owner of ${keysDir}, or chown it`);
    case 'unexpected':
      return warning(
        `${path} is needed by nobody`,
        secret ? `look at it and move it away: ${place}` : `move it away: ${place}`,
      );
    case 'ok':
    case 'not here':
      return ok(path);
  }
}

/** The certificates of the key folder, read as files: they expire whether anything runs or not. */
function certificates(keysDir: string, nowMs: number): readonly Verdict[] {
  const files = inventoryOf(keysDir).filter(
    ({ path, mode }) => mode !== null && path.endsWith('.pem') && !path.endsWith('-key.pem'),
  );
  const verdicts = files.map(({ path }) => {
    let notAfter: number;
    try {
      notAfter = Date.parse(new X509Certificate(readFileSync(join(keysDir, path))).validTo);
    } catch {
      return failure(`${path} is no certificate that can be read`, 'restore it: mpe restore FILE');
    }
    return expiry(path, notAfter, nowMs, renewal(path));
  });
  const bad = verdicts.filter(({ state }) => state !== 'ok');
  if (bad.length > 0) return bad;
  return [ok(files.length === 0 ? 'none on this host' : `none of ${files.length} expires within 30 days`)];
}

function renewal(path: string): string {
  if (path.includes('BitLockerManagement_CERT'))
    return 'everything stays readable; change it: mpe certificate create, then mpe certificate rotate';
  return path.endsWith('ca.pem')
    ? 'the site CA ends: clients pin it; plan a new site CA'
    : 'renew it where ca/ is: mpe gateway-keys renew-tls, then copy gateway/ to the gateways';
}

/** 30 and 7 days before: a warning; a day before and afterwards: a failure. */
export function expiry(what: string, notAfterMs: number, nowMs: number, fix: string): Verdict {
  const days = (notAfterMs - nowMs) / DAY_MS;
  const on = new Date(notAfterMs).toISOString().slice(0, 10);
  if (days <= 0) return failure(`${what} has expired on ${on}`, fix);
  if (days <= 1) return failure(`${what} expires within a day, on ${on}`, fix);
  if (days <= 30) return warning(`${what} expires within ${days <= 7 ? 7 : 30} days, on ${on}`, fix);
  return ok(`${what} is valid until ${on}`);
}

function backup({ config: { keysDir }, parts }: DoctorContext, nowMs: number): Verdict {
  const fix = 'run "mpe backup FILE" and keep FILE away from this host';
  if (!existsSync(keysDir))
    return warning('there is no key folder to back up', 'check MPE_KEYS_DIR, or: mpe restore FILE');
  const stamp = readStamp(keysDir);
  if (stamp === null) {
    if (parts.length === 1)
      return ok(`this host has ${parts.join()}/ alone; the backup is made where the whole key folder is`);
    return warning('no backup of these keys is known on this host', fix);
  }
  const changed = changedSince(keysDir, stamp);
  if (changed.length > 0)
    return warning(
      `the last backup (${stamp.createdAt}) does not hold ${changed.join(', ')} as it is now`,
      fix,
    );
  const days = Math.floor((nowMs - Date.parse(stamp.createdAt)) / DAY_MS);
  if (days > OLD_BACKUP_DAYS)
    return warning(
      `the last backup is ${days} days old`,
      'try it: mpe backup verify FILE; then make a new one',
    );
  return ok(`made ${stamp.createdAt}; no key changed since`);
}

/** Of the folder where SQLite writes; it may not be there yet. */
async function diskSpace({ config }: DoctorContext): Promise<readonly Verdict[]> {
  let folder = config.store.kind === 'sqlite' ? dirname(config.store.path) : config.home;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  readdirSync(folder);
  const { bavail, blocks, bsize } = await statfs(folder);
  const [free, share] = [bavail * bsize, blocks === 0 ? 1 : bavail / blocks];
  const text = `${(free / GIB).toFixed(1)} GiB (${Math.round(share * 100)} %) free at ${folder}`;
  const fix = 'make room, or move MPE_HOME to a larger disk: a full disk stops every commit';
  if (free < GIB / 8) return [failure(text, fix)];
  return [free < GIB || share < 0.05 ? warning(text, fix) : ok(text)];
}
