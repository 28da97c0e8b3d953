import { MpeError } from '../ops/errors.js';

/** A parser of a command line option that is a whole number. */
export function numberOption(name: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new MpeError('USAGE', `${name} must be a whole number from ${min} to ${max}`);
  };
}
