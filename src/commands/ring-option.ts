import { MpeError } from '../ops/errors.js';
import type { PolicySettingsInput } from '../recovery/policy/settings.js';

/** A ring as an option says it. */
export type RingOption = NonNullable<PolicySettingsInput['rings']>[number];

/** How a ring is said. */
export const RING_FORM = 'tag[,opens=by-hand|after-previous][,limit=2%][,soak=24h][,per-hour=100]';

const MOST_SOAK_MINUTES = 43_200;
const MOST_PER_HOUR = 100_000;

/**
 * `pilot,limit=5%,soak=48h`: a ring of a policy.
 *
 * @throws MpeError USAGE
 */
export function ringOption(text: string): RingOption {
  const [tag = '', ...parts] = text.split(',').map((part) => part.trim());
  if (tag === '' || tag.includes('=')) throw new MpeError('USAGE', `--ring must be ${RING_FORM}`);
  return parts.reduce<RingOption>((ring, part) => ({ ...ring, ...partOf(part) }), { tag });
}

function partOf(part: string): Partial<RingOption> {
  const [, name = '', value = ''] = /^([a-z-]+)=(.+)$/.exec(part) ?? [];
  const wrong = (why: string): MpeError =>
    new MpeError('USAGE', `--ring: "${part}" is not understood: ${why}; a ring is ${RING_FORM}`);
  switch (name) {
    case 'opens':
      if (value === 'by-hand') return { opens: 'BY_HAND' };
      if (value === 'after-previous') return { opens: 'AFTER_PREVIOUS' };
      throw wrong('opens is by-hand or after-previous');
    case 'limit': {
      const [, number] = /^(\d{1,3}(?:\.\d)?) ?%$/.exec(value) ?? [];
      if (number === undefined || Number(number) > 100)
        throw wrong('limit is from 0% to 100%, with one decimal at most');
      return { failureLimit: Math.round(Number(number) * 10) };
    }
    case 'soak': {
      const [, number, unit] = /^(\d{1,5})([mhd])$/.exec(value) ?? [];
      const minutes = Number(number) * (unit === 'd' ? 1440 : unit === 'h' ? 60 : 1);
      if (!(minutes <= MOST_SOAK_MINUTES)) throw wrong('soak is from 0m to 30d, in m, h or d');
      return { soakMinutes: minutes };
    }
    case 'per-hour':
      if (!/^\d{1,6}$/.test(value) || Number(value) > MOST_PER_HOUR)
        throw wrong(`per-hour is a whole number from 0 to ${MOST_PER_HOUR}`);
      return { rotationsPerHour: Number(value) };
    default:
      throw wrong('a ring has opens, limit, soak and per-hour');
  }
}
