import { MpeError } from '../ops/errors.js';
import type { PolicySettingsInput } from '../recovery/policy/settings.js';

/** A ring as an option says it. */
export type RingOption = NonNullable<PolicySettingsInput['rings']>[number];

const FORM = 'tag[,opens=by-hand|after-previous][,limit=2%][,soak=24h][,per-hour=100]';

/**
 * `pilot,limit=5%,soak=48h`: a ring of a policy.
 *
 * @throws MpeError USAGE
 */
export function ringOption(text: string): RingOption {
  const [tag = '', ...parts] = text.split(',').map((part) => part.trim());
  if (tag === '' || tag.includes('=')) throw new MpeError('USAGE', `--ring must be ${FORM}`);
  return parts.reduce<RingOption>((ring, part) => ({ ...ring, ...partOf(part) }), { tag });
}

function partOf(part: string): Partial<RingOption> {
  const [, name = '', value = ''] = /^([a-z-]+)=(.+)$/.exec(part) ?? [];
  const wrong = new MpeError('USAGE', `--ring: "${part}" is not understood; it must be ${FORM}`);
  switch (name) {
    case 'opens':
      if (value === 'by-hand') return { opens: 'BY_HAND' };
      if (value === 'after-previous') return { opens: 'AFTER_PREVIOUS' };
      throw wrong;
    case 'limit': {
      const [, number] = /^(\d{1,3}(?:\.\d)?) ?%$/.exec(value) ?? [];
      if (number === undefined) throw wrong;
      return { failureLimit: Math.round(Number(number) * 10) };
    }
    case 'soak': {
      const [, number, unit] = /^(\d{1,5})([mhd])$/.exec(value) ?? [];
      if (number === undefined) throw wrong;
      return { soakMinutes: Number(number) * (unit === 'd' ? 1440 : unit === 'h' ? 60 : 1) };
    }
    case 'per-hour':
      if (!/^\d{1,6}$/.test(value)) throw wrong;
      return { rotationsPerHour: Number(value) };
    default:
      throw wrong;
  }
}
