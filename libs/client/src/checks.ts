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

/** A list of texts; text with commas is one, too. None of them is empty. */
export function checkTexts(option: string, value: readonly string[] | string): readonly string[] {
  if (typeof value === 'string')
    return value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  if (!Array.isArray(value))
    throw invalid('INVALID_ARGUMENT', option, value, 'a list of texts, or one with commas');
  return value.map((item: string, index) => checkText(`${option}[${index}]`, item));
}

/** Addresses as `host:port`: a list, or text with commas. */
export function checkAddresses(
  option: string,
  value: readonly string[] | string,
): readonly string[] {
  const addresses = checkTexts(option, value);
  addresses.forEach((address, index) => {
    const port = Number(/^(?:.+):(\d{1,5})$/.exec(address)?.[1]);
    if (!(port >= 1 && port <= 65535))
      throw invalid(
        'INVALID_ARGUMENT',
        `${option}[${index}]`,
        address,
        'host:port, such as localhost:50050',
      );
  });
  return [...new Set(addresses)];
}
