/** Dates in templates, in UTC: the same wherever a template is rendered. */
type Field = (date: Date) => string;

const two = (number: number): string => String(number).padStart(2, '0');
const named =
  (options: Intl.DateTimeFormatOptions): Field =>
  (date) =>
    date.toLocaleString('en-US', { timeZone: 'UTC', ...options });

const FIELDS: Readonly<Record<string, Field>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => two(date.getUTCFullYear() % 100),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(date.getUTCHours() % 12 || 12),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  A: named({ weekday: 'long' }),
  a: named({ weekday: 'short' }),
  B: named({ month: 'long' }),
  b: named({ month: 'short' }),
  '%': () => '%',
};

/** As `strftime` of C; what it does not know stays as it is. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%-?([A-Za-z%])/g, (code, letter: string) => {
    const text = FIELDS[letter]?.(date) ?? code;
    // "%-d" is a number without zeros before it.
    return code.startsWith('%-') ? text.replace(/^0+(?=\d)/, '') : text;
  });
}
