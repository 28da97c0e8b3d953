import { describe } from 'vitest';
import type { StoreLocation } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { admissions } from './conformance/admission.js';
import { clonesAndRegistration } from './conformance/registration.js';
import { commits } from './conformance/commits.js';
import { disclosure } from './conformance/disclosure.js';
import { keptMessages } from './conformance/kept-messages.js';
import { people } from './conformance/people.js';
import { policies } from './conformance/policies.js';
import { coverageFacts } from './conformance/coverage.js';
import { publishedViews } from './conformance/published-views.js';
import { races } from './conformance/races.js';
import { readers } from './conformance/readers.js';
import { rotation } from './conformance/rotation.js';
import { rotationEvidence } from './conformance/rotation-evidence.js';
import { roundTrips } from './conformance/round-trips.js';
import { sealingKeys } from './conformance/sealing-keys.js';
import { search } from './conformance/search.js';
import { secretsAndProofs } from './conformance/secrets.js';
import { siteRows } from './conformance/site.js';

/** One database of its own. */
export interface TestDatabase {
  /** Opens it, as another process would. */
  open(options?: { readOnly?: boolean }): Promise<SiteStore>;
  /** What a child process gives to `openStore`. */
  readonly location: StoreLocation;
  /**
   * Runs SQL past the store; throws what the database says. GUIDs come in lower case, times as
   * `2026-10-25 00:30:00.000`, switches as 0 and 1.
   */
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** A time as a literal of its SQL. */
  time(ms: number): string;
  /** Bytes as a literal of its SQL. */
  bytes(hex: string): string;
}

/**
 * Makes a database for one test, gone with it. It is as an operator prepares it for the first start;
 * `schema: false`: as it is before that.
 */
export type MakeDatabase = (options?: { readonly schema?: boolean }) => Promise<TestDatabase>;

/**
 * What every site database must do. Runs on real databases only; the suite knows no dialect: its
 * own SQL is what both take, with literals by {@link TestDatabase}.
 */
export function storeConformance(name: string, make: MakeDatabase): void {
  describe(`site database: ${name}`, () => {
    siteRows(make);
    clonesAndRegistration(make);
    admissions(make);
    commits(make);
    secretsAndProofs(make);
    readers(make);
    keptMessages(make);
    sealingKeys(make);
    policies(make);
    coverageFacts(make);
    publishedViews(make);
    roundTrips(make);
    rotation(make);
    rotationEvidence(make);
    disclosure(make);
    people(make);
    search(make);
    races(make);
  });
}
