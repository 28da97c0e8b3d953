import { describe } from 'vitest';
import type { StoreLocation } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { clonesAndRegistration } from './conformance/registration.js';
import { commits } from './conformance/commits.js';
import { keptMessages } from './conformance/kept-messages.js';
import { publishedViews } from './conformance/published-views.js';
import { races } from './conformance/races.js';
import { readers } from './conformance/readers.js';
import { secretsAndProofs } from './conformance/secrets.js';
import { siteRows } from './conformance/site.js';

/** One database of its own. */
export interface TestDatabase {
  /** Opens it, as another process would. */
  open(options?: { readOnly?: boolean }): Promise<SiteStore>;
  /** What a child process gives to `openStore`. */
  readonly location: StoreLocation;
  /** Runs SQL past the store; throws what the database says. */
  sql(text: string): Promise<Record<string, unknown>[]>;
}

/** Makes an empty database, gone with the test. */
export type MakeDatabase = () => Promise<TestDatabase>;

/**
 * What every site database must do. Runs on real databases only; the suite knows no dialect beyond
 * the SQL that both take.
 */
export function storeConformance(name: string, make: MakeDatabase): void {
  describe(`site database: ${name}`, () => {
    siteRows(make);
    clonesAndRegistration(make);
    commits(make);
    secretsAndProofs(make);
    readers(make);
    keptMessages(make);
    publishedViews(make);
    races(make);
  });
}
