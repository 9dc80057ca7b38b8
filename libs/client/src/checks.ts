import { invalid } from '@cabstand/core';

/** A number of milliseconds, or of anything countable in parts: at least `minimum`, not NaN. */
export function checkNumber(
  option: string,
  value: number,
  minimum: number,
  { infinite = false, whole = false }: { infinite?: boolean; whole?: boolean } = {},
): number {
  const ok =
    typeof value === 'number' &&
    value >= minimum &&
    (Number.isFinite(value) ? !whole || Number.isSafeInteger(value) : infinite);
  if (ok) return value;
  const kind = whole ? 'a whole number' : 'a number';
  throw invalid(
    'INVALID_ARGUMENT',
    option,
    typeof value === 'number' ? String(value) : value,
    `${kind} of at least ${minimum}${infinite ? ' or Infinity' : ''}`,
  );
}

/** A string that is not empty. */
export function checkText(option: string, value: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalid('INVALID_ARGUMENT', option, value, 'text');
}

/** Addresses as `host:port`. */
export function checkAddresses(option: string, addresses: readonly string[]): readonly string[] {
  addresses.forEach((address, index) => {
    const port = Number(/^(?:.+):(\d{1,5})$/.exec(address)?.[1]);
    if (!(port >= 1 && port <= 65535))
      throw invalid('INVALID_ARGUMENT', `${option}[${index}]`, address, 'host:port');
  });
  return [...new Set(addresses)];
}
