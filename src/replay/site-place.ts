import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../ops/clock.js';
import { openSource } from '../store/copy/open-side.js';
import { wholeTable } from '../store/copy/parts.js';
import { COPY_TABLES } from '../store/copy/tables.js';
import type { StoreLocation } from '../store/open-store.js';
import type { SecretScanner } from './scan.js';
import type { SiteVariant } from './site-variants.js';

/** Where the sites of a replay in this process are made. */
export type ReplayStores =
  /** SQLite files; null: in a temporary folder that is removed. */
  | { readonly kind: 'sqlite'; readonly folder: string | null }
  /** A server on which each site gets a database of its own, dropped at the end. */
  | { readonly kind: 'mssql'; readonly server: ServerLocation };

type ServerLocation = StoreLocation & { readonly kind: 'mssql' };

/** Where one site is: an empty database, or one that an earlier replay filled. */
export interface SitePlace {
  readonly location: StoreLocation;
  readonly keysDir: string;
  readonly isNew: boolean;
  /** How the database is called in messages. */
  readonly name: string;
  /** Looks for secrets in everything that the database holds. Its store is closed. */
  scan(scanner: SecretScanner): Promise<void>;
  /** Removes what is not to be kept. */
  release(): Promise<void>;
}

/** Makes the place of a variant's site. */
export function sitePlace(stores: ReplayStores, site: SiteVariant, clock: Clock): Promise<SitePlace> {
  return stores.kind === 'sqlite'
    ? Promise.resolve(filePlace(stores.folder, site))
    : databasePlace(stores.server, clock);
}

function filePlace(kept: string | null, site: SiteVariant): SitePlace {
  const top = kept ?? mkdtempSync(join(tmpdir(), 'mpe-replay-'));
  const folder = join(top, site);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'site.db');
  return {
    location: { kind: 'sqlite', path },
    keysDir: join(folder, 'keys'),
    isNew: !existsSync(path),
    name: path,
    scan: (scanner) => {
      // The file and what stands beside it: the write-ahead log holds rows as well.
      for (const file of readdirSync(folder).filter((one) => one.startsWith('site.db')))
        scanner.scanPath(join(folder, file));
      return Promise.resolve();
    },
    release: () => {
      if (kept === null) rmSync(top, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}

async function databasePlace(server: ServerLocation, clock: Clock): Promise<SitePlace> {
  // Only who uses SQL Server loads its driver, which is large.
  const { createSiteDatabase, dropDatabase } = await import('../store/mssql/own-database.js');
  const name = `mpe_replay_${randomBytes(6).toString('hex')}`;
  const location = { ...server, target: await createSiteDatabase(server.target, name, clock.now()) };
  const folder = mkdtempSync(join(tmpdir(), 'mpe-replay-'));
  return {
    location,
    keysDir: join(folder, 'keys'),
    isNew: true,
    name,
    scan: (scanner) => scanRows(location, name, scanner, clock),
    release: async () => {
      rmSync(folder, { recursive: true, force: true });
      await dropDatabase(server.target, name);
    },
  };
}

/** The server's files are out of reach: every value of every row is looked at instead. */
async function scanRows(
  location: StoreLocation,
  name: string,
  scanner: SecretScanner,
  clock: Clock,
): Promise<void> {
  const source = await openSource(location, clock);
  try {
    for (const table of COPY_TABLES)
      for await (const row of source.read(wholeTable(table), 0))
        for (const value of row) {
          if (typeof value === 'string') scanner.scan(`${name}, ${table.name}`, Buffer.from(value));
          else if (Buffer.isBuffer(value)) scanner.scan(`${name}, ${table.name}`, value);
        }
  } finally {
    await source.close();
  }
}
