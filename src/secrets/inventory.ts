/**
 * Every file that a key folder may hold: what it is, who needs it, whether it is secret. `mpe secrets list`
 * prints it, `mpe backup` takes what it names, `mpe doctor` judges it. It reads names and modes, and of
 * certificates which they are; no secret.
 */
import { readdirSync, readFileSync, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { isMpeError } from '../ops/errors.js';
import { certificateThumbprint } from './certificate-file.js';
import { CERTIFICATE_FILE, certificateFile, privateFileOf } from './held-certificates.js';
import { KEY_FILES, readSiteFile } from './key-files.js';

/** The parts of a key folder, each for a role; a host has those that it needs. */
export const KEY_PARTS = ['root', 'ca', 'gateway', 'worker', 'recovery'] as const;
export type KeyPart = (typeof KEY_PARTS)[number];

/** One kind of file. */
interface Kind {
  /** Path inside the key folder. */
  readonly path: RegExp;
  readonly what: string;
  readonly secret: boolean;
  /** Its one name where each folder with its part must have it. */
  readonly always?: string;
}

const NEEDED_BY: Readonly<Record<KeyPart | 'site.json', string>> = {
  'site.json': 'every process',
  root: 'changes of the site; keep it offline',
  ca: 'new gateway certificates; keep it offline',
  gateway: 'mpe gateway',
  worker: 'mpe worker, mpe secrets verify',
  recovery: 'mpe recovery, mpe secrets verify',
};

const KINDS: readonly Kind[] = [
  {
    path: /^site\.json$/,
    what: 'site GUID, thumbprints of root and certificate',
    secret: false,
    always: 'site.json',
  },
  {
    path: /^root\/root-key\.json$/,
    what: 'site root key: signs site documents',
    secret: true,
    always: 'root/root-key.json',
  },
  {
    path: /^root\/root-key-next\.json$/,
    what: 'next root key, of a root change that is not finished',
    secret: true,
  },
  { path: /^root\/root-key-[\w-]{16}\.json$/, what: 'former root key', secret: true },
  {
    path: /^ca\/ca\.pem$/,
    what: 'certificate of the site CA, which clients pin',
    secret: false,
    always: 'ca/ca.pem',
  },
  {
    path: /^ca\/ca-key\.pem$/,
    what: 'key of the site CA: signs gateway certificates',
    secret: true,
    always: 'ca/ca-key.pem',
  },
  {
    path: /^gateway\/token-key\.json$/,
    what: 'token key: signs site tokens',
    secret: true,
    always: 'gateway/token-key.json',
  },
  {
    path: /^gateway\/token-key-next\.json$/,
    what: 'next token key, of a rotation that is not finished',
    secret: true,
  },
  {
    path: /^gateway\/tls-key-next\.pem$/,
    what: 'next TLS key of the gateway, of a renewal that is not finished',
    secret: true,
  },
  {
    path: /^gateway\/tls-key\.pem$/,
    what: 'TLS key of the gateway',
    secret: true,
    always: 'gateway/tls-key.pem',
  },
  {
    path: /^gateway\/tls-chain\.pem$/,
    what: 'TLS certificate of the gateway',
    secret: false,
    always: 'gateway/tls-chain.pem',
  },
  {
    path: /^gateway\/ca\.pem$/,
    what: 'certificate of the site CA',
    secret: false,
    always: 'gateway/ca.pem',
  },
  {
    path: /^worker\/worker-secret\.json$/,
    what: 'worker secret: opens the sealing keys and the fingerprint key',
    secret: true,
    always: 'worker/worker-secret.json',
  },
  {
    path: /^worker\/BitLockerManagement_CERT\.pem$/,
    what: 'certificate that data keys are wrapped to',
    secret: false,
  },
  {
    path: /^worker\/BitLockerManagement_CERT-[0-9a-f]{16}\.pem$/,
    what: 'later certificate that data keys are wrapped to',
    secret: false,
  },
  {
    path: /^recovery\/BitLockerManagement_CERT\.pem$/,
    what: 'certificate of the recovery service',
    secret: false,
  },
  {
    path: /^recovery\/BitLockerManagement_CERT-key\.pem$/,
    what: 'its private key: reads every stored key',
    secret: true,
  },
  {
    path: /^recovery\/BitLockerManagement_CERT-[0-9a-f]{16}\.pem$/,
    what: 'later certificate of the recovery service',
    secret: false,
  },
  {
    path: /^recovery\/BitLockerManagement_CERT-[0-9a-f]{16}-key\.pem$/,
    what: 'its private key: reads stored keys',
    secret: true,
  },
  {
    path: /^recovery\/audit-key\.json$/,
    what: 'audit key: signs checkpoints of the audit',
    secret: true,
  },
];

/** What a look at a file came to. */
export type FileState =
  | 'ok'
  /** Its part of the folder is here and the file is not. */
  | 'missing'
  /** Its part of the folder is not on this host. */
  | 'not here'
  /** No process needs it. */
  | 'unexpected'
  /** Secret, and the group or others may read it. */
  | 'open to others'
  /** It does not belong to the owner of the folder. */
  | 'another owner'
  /** This account may not read it. */
  | 'unreadable';

/** A file, or a part, of the key folder. */
export interface InventoryEntry {
  /** Path inside the key folder; that of a part ends with a slash. */
  readonly path: string;
  readonly what: string;
  readonly neededBy: string;
  readonly secret: boolean;
  readonly state: FileState;
  /** As `0600`; null where it is not there, and on Windows. */
  readonly mode: string | null;
  /** User id; null as `mode`. */
  readonly owner: number | null;
  /** Whether `mpe backup` takes it. */
  readonly inBackup: boolean;
}

/** What a killed command leaves beside the file that it was writing. */
export const DRAFT = /\.new-\d+$/;

/** Names that a part may hold and that a backup takes: no hidden files, nothing that leads elsewhere. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

/** Whether a path inside a key folder is one that a backup takes: what is not known is taken too. */
export function isKeyPath(path: string): boolean {
  if (path === 'site.json') return true;
  const [part, name, ...more] = path.split('/');
  const known = (KEY_PARTS as readonly (string | undefined)[]).includes(part);
  return known && more.length === 0 && name !== undefined && PLAIN_NAME.test(name) && !DRAFT.test(name);
}

/** Whether a file of the key folder is secret; what is not known counts as secret. */
export function isSecretPath(path: string): boolean {
  return KINDS.find((kind) => kind.path.test(path))?.secret ?? true;
}

/** The parts that a key folder holds. */
export function partsOf(folder: string): readonly KeyPart[] {
  return KEY_PARTS.filter((part) => statOrNull(join(folder, part))?.isDirectory() === true);
}

/**
 * Looks at every file of a key folder: those that must be there, those that are. In the order of the
 * parts, then of the names.
 */
export function inventoryOf(folder: string): readonly InventoryEntry[] {
  const owner = statOrNull(folder)?.uid ?? null;
  const look = (path: string, secret: boolean): Seen => lookAt(folder, path, secret, owner);
  const certificates = certificateFiles(folder);
  const entries: InventoryEntry[] = [];
  for (const part of ['site.json', ...KEY_PARTS] as const) {
    const partThere = part === 'site.json' || partsOf(folder).includes(part);
    const neededBy = NEEDED_BY[part];
    if (part !== 'site.json' && partThere) {
      const what = 'folder of what follows';
      entries.push({
        path: `${part}/`,
        what,
        neededBy,
        secret: true,
        ...look(`${part}/`, true),
        inBackup: false,
      });
    }
    const needed = [...KINDS.flatMap(({ always }) => always ?? []), ...certificates].filter(
      (path) => path === part || path.startsWith(`${part}/`),
    );
    const there = part === 'site.json' ? [] : namesIn(join(folder, part)).map((name) => `${part}/${name}`);
    for (const path of [...new Set([...needed, ...there])]) {
      const kind = KINDS.find((one) => one.path.test(path));
      const secret = kind?.secret ?? true;
      const seen: Seen = partThere ? look(path, secret) : { state: 'not here', mode: null, owner: null };
      const what = kind?.what ?? (DRAFT.test(path) ? 'draft of a command that was killed' : 'not known');
      const state = kind === undefined && seen.state === 'ok' ? 'unexpected' : seen.state;
      const inBackup = seen.mode !== null && isKeyPath(path);
      entries.push({
        path,
        what,
        neededBy: kind === undefined ? 'nobody' : neededBy,
        secret,
        ...seen,
        state,
        inBackup,
      });
    }
  }
  for (const name of namesIn(folder)) {
    if (name === 'site.json' || (KEY_PARTS as readonly string[]).includes(name)) continue;
    const what = DRAFT.test(name) ? 'draft of a command that was killed' : 'not known';
    const seen = look(name, true);
    const state = seen.state === 'ok' ? 'unexpected' : seen.state;
    entries.push({ path: name, what, neededBy: 'nobody', secret: true, ...seen, state, inBackup: false });
  }
  return entries;
}

/** States that need somebody's hand. */
export function isFault(state: FileState): boolean {
  return state !== 'ok' && state !== 'not here';
}

type Seen = Pick<InventoryEntry, 'state' | 'mode' | 'owner'>;

function lookAt(folder: string, path: string, secret: boolean, folderOwner: number | null): Seen {
  const stat = statOrNull(join(folder, path));
  if (stat === null) return { state: 'missing', mode: null, owner: null };
  return judge(stat, secret, folderOwner);
}

/** Judges a file by its mode and owner; Windows keeps neither. */
export function judge(stat: Stats, secret: boolean, rightOwner: number | null): Seen {
  if (process.platform === 'win32') return { state: 'ok', mode: null, owner: null };
  const mode = `0${(stat.mode & 0o777).toString(8).padStart(3, '0')}`;
  const seen = { mode, owner: stat.uid };
  if (secret && (stat.mode & 0o077) !== 0) return { ...seen, state: 'open to others' };
  if (rightOwner !== null && stat.uid !== rightOwner) return { ...seen, state: 'another owner' };
  const own = process.getuid?.() ?? 0;
  const bits = own === stat.uid ? 0o400 : 0o044;
  return { ...seen, state: own === 0 || (stat.mode & bits) !== 0 ? 'ok' : 'unreadable' };
}

/**
 * The files of the certificate that site.json names, where it lies: former ones may be taken offline. A
 * damaged site.json is told elsewhere; here it only leaves open what must be there.
 */
function certificateFiles(folder: string): readonly string[] {
  let thumbprint: string | null;
  try {
    thumbprint = readSiteFile(folder).certificateThumbprint;
  } catch (error) {
    if (!isMpeError(error)) throw error;
    return [];
  }
  if (thumbprint === null) return [];
  const [worker, recovery] = [
    certificatePath(folder, 'worker', thumbprint),
    certificatePath(folder, 'recovery', thumbprint),
  ];
  return [worker, recovery, privateFileOf(recovery)];
}

/** Nothing depends on a file's name: the certificate itself tells. One that is nowhere is called as it was made. */
function certificatePath(folder: string, part: 'worker' | 'recovery', thumbprint: string): string {
  const held = namesIn(join(folder, part))
    .filter((name) => CERTIFICATE_FILE.test(name))
    .map((name) => `${part}/${name}`);
  const there = held.find((path) => thumbprintOf(join(folder, path)) === thumbprint);
  if (there !== undefined) return there;
  const first = part === 'worker' ? KEY_FILES.workerCertificate : KEY_FILES.certificate;
  return held.length === 0 ? first : certificateFile(part, thumbprint);
}

function thumbprintOf(path: string): string | null {
  try {
    return certificateThumbprint(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}
