import { describe, expect, it } from 'vitest';
import { isGood, prepare, runSeed, runUndisturbed } from './campaign.js';

// The full campaign (ten seeds, 2,000 messages each) is `npm run chaos`.
const MESSAGES = 200;

describe('kill -9 of workers, gateway and Redis at random moments', () => {
  it('loses nothing, doubles nothing, and comes to the undisturbed site', async () => {
    const base = await prepare(MESSAGES);
    try {
      const { hash } = await runUndisturbed(base);
      const result = await runSeed(base, 1, hash);
      expect(isGood(result, MESSAGES), JSON.stringify(result)).toBe(true);
      expect(result.kills).toEqual({ worker: 3, gateway: 3, redis: 3 });
    } finally {
      await base.engine.dispose();
    }
  }, 180_000);
});
