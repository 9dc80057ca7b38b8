/** Numbers that operators set: one table has their defaults and bounds, for options and configuration. */
import { invalid } from './errors';

/** All are whole numbers, but for shares. */
export type Limit = readonly [standard: number, least: number, most: number, share?: 'share'];

export const MOST_COUNT = 2 ** 31 - 1;
export const MOST_BYTES = Number.MAX_SAFE_INTEGER;
export const MOST_MS = 86_400_000;
export const MIB = 1024 * 1024;

/** Fills in defaults. Throws INVALID_ARGUMENT naming option (behind `prefix`) and value. */
export function withinLimits<Name extends string>(
  limits: Readonly<Record<Name, Limit>>,
  options: Readonly<Partial<Record<Name, number>>>,
  prefix = '',
): Record<Name, number> {
  const numbers = {} as Record<Name, number>;
  for (const name of Object.keys(limits) as Name[]) {
    const [standard, least, most, share] = limits[name];
    const value = options[name] ?? standard;
    const whole = share === undefined;
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
      const expected = `${least} to ${most}${whole ? ', a whole number' : ''}`;
      throw invalid('INVALID_ARGUMENT', `${prefix}${name}`, value, expected);
    }
    numbers[name] = value;
  }
  return numbers;
}
