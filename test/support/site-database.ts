import { randomBytes } from 'node:crypto';
import { loadConfig, type SqlServerTarget } from '../../src/config/index.js';
import { systemClock } from '../../src/ops/clock.js';
import { copySite } from '../../src/store/copy/copy-site.js';
import { openSource, openTarget } from '../../src/store/copy/open-side.js';
import { createSiteDatabase, dropDatabase } from '../../src/store/mssql/own-database.js';
import type { StoreLocation } from '../../src/store/open-store.js';
import { FaultProxy } from './fault-proxy.js';

/** A database of one's own on a SQL Server, with the schema of this release; dropped by `drop`. */
export class SiteDatabase {
  readonly name: string;
  /** As MPE_STORE_URL. */
  readonly url: string;
  readonly #server: SqlServerTarget;

  private constructor(serverUrl: string, server: SqlServerTarget, name: string) {
    this.name = name;
    this.#server = server;
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    this.url = url.href;
  }

  /** @param serverUrl - as MPE_TEST_SQLSERVER_URL; its login may make databases. */
  static async create(serverUrl: string, prefix = 'mpe_t'): Promise<SiteDatabase> {
    const server = serverLocation(serverUrl).target;
    const name = `${prefix}_${randomBytes(6).toString('hex')}`;
    await createSiteDatabase(server, name, Date.now());
    return new SiteDatabase(serverUrl, server, name);
  }

  /** Fills it with the site of an SQLite file: the same clients and keys, as `mpe store copy` does. */
  async fillFrom(sqliteFile: string): Promise<void> {
    const clock = systemClock();
    const source = await openSource({ kind: 'sqlite', path: sqliteFile }, clock);
    try {
      const target = await openTarget(loadConfig({ MPE_STORE_URL: this.url }).store, clock);
      try {
        await copySite(source, target, { onProgress: () => undefined, now: () => clock.now() });
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }

  /** A proxy in front of the server, which can break connections, and the URL that goes through it. */
  async behindProxy(
    more: Readonly<Record<string, string>> = {},
  ): Promise<{ proxy: FaultProxy; url: string }> {
    const proxy = await FaultProxy.open(this.#server);
    const url = new URL(this.url);
    url.hostname = '127.0.0.1';
    url.port = String(proxy.port);
    for (const [name, value] of Object.entries(more)) url.searchParams.set(name, value);
    return { proxy, url: url.href };
  }

  async drop(): Promise<void> {
    await dropDatabase(this.#server, this.name);
  }
}

/** A server as a location of stores. */
export function serverLocation(serverUrl: string): StoreLocation & { readonly kind: 'mssql' } {
  const { store } = loadConfig({ MPE_STORE_URL: serverUrl });
  if (store.kind === 'mssql') return store;
  throw new Error('a SQL Server is named by mssql://user:password@host:port/master');
}
