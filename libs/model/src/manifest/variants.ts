/** Several models from one folder: each variant's values over those of the manifest. */
import { manifestProblem, oneOf } from './problems';

type Values = Readonly<Record<string, unknown>>;

/** Names of the variants that a manifest, as it is written, has. */
export function variantNames(written: unknown): string[] {
  return isValues(written) && isValues(written['variants']) ? Object.keys(written['variants']) : [];
}

/**
 * The manifest of one variant: objects are merged key by key, lists and single values replaced. Golden data
 * are those of the model itself and not inherited.
 *
 * @throws CabstandError MANIFEST_INVALID where there is no such variant, or it says what only a model can.
 */
export function ofVariant(written: unknown, variant: string, file: string): unknown {
  const names = variantNames(written);
  const values =
    isValues(written) && isValues(written['variants']) ? written['variants'][variant] : undefined;
  if (!isValues(written) || !names.includes(variant) || !isValues(values))
    throw manifestProblem(file, 'variants', variant, oneOf(variant, names));
  for (const key of ['name', 'variants'])
    if (Object.hasOwn(values, key))
      throw manifestProblem(file, `variants.${variant}.${key}`, values[key], 'no such key here');
  const { variants: _, golden, ...base } = written;
  const tolerances = isValues(golden) ? { golden: { ...golden, file: undefined } } : {};
  return { ...merge({ ...base, ...tolerances }, values), name: variant };
}

function merge(base: Values, over: Values): Values {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = base[key];
    const both = isValues(value) && isValues(below);
    // A key called __proto__ is one like others.
    Object.defineProperty(merged, key, {
      value: both ? merge(below, value) : value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return merged;
}

function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
