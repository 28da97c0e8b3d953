import { systemClock, type Clock } from '../ops/clock.js';
import { MpeError } from '../ops/errors.js';
import type { Config } from './config.js';

/**
 * Refuses settings that only a test site may have. Every process calls it once it knows the site.
 *
 * @param testSite - as the site's row says
 * @throws MpeError CONFIG_INVALID naming the variables
 */
export function assertTestSettings(config: Config, testSite: boolean): void {
  if (testSite) return;
  const used = [
    ...(config.test.clockOffsetMs === 0 ? [] : ['MPE_TEST_CLOCK_OFFSET']),
    ...(config.test.poison.length === 0 ? [] : ['MPE_TEST_POISON']),
  ];
  if (used.length === 0) return;
  throw new MpeError(
    'CONFIG_INVALID',
    `${used.join(' and ')} may be set only where the site was made with "mpe site init --test-site"; ` +
      'this site was not. Unset it and start again.',
  );
}

/**
 * The clock of a process: the system's, on a test site shifted by `MPE_TEST_CLOCK_OFFSET`.
 *
 * @throws MpeError CONFIG_INVALID as {@link assertTestSettings}
 */
export function clockOf(config: Config, testSite: boolean): Clock {
  assertTestSettings(config, testSite);
  return systemClock(config.test.clockOffsetMs);
}
