import { describe, expect, it } from 'vitest';
import { sqlServerUrl } from '../support/sqlserver.js';
import { isGood, prepare, runSeed, runUndisturbed } from './campaign.js';

// The full campaign (ten seeds, 2,000 messages each) is `npm run chaos`.
const MESSAGES = 200;

interface Case {
  readonly store: string;
  readonly serverUrl: string | undefined;
  /** How often the connections to the database are cut. */
  readonly database: number;
}

const server = sqlServerUrl();
const cases: readonly Case[] = [
  { store: 'SQLite', serverUrl: undefined, database: 0 },
  ...(server === undefined ? [] : [{ store: 'SQL Server', serverUrl: server, database: 3 }]),
];

describe.each(cases)('kill -9 of workers, gateway and Redis at random moments, $store', (one) => {
  const { serverUrl, database } = one;
  it(
    'loses nothing, doubles nothing, and comes to the undisturbed site',
    async () => {
      const base = { ...(await prepare(MESSAGES)), serverUrl };
      try {
        const { hash } = await runUndisturbed(base);
        const result = await runSeed(base, 1, hash);
        expect(isGood(result, MESSAGES), JSON.stringify(result)).toBe(true);
        expect(result.kills).toEqual({ worker: 3, gateway: 3, redis: 3, database });
      } finally {
        await base.engine.dispose();
      }
    },
    serverUrl === undefined ? 600_000 : 1_800_000,
  );
});
