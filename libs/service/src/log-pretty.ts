/** What every line of a service says; a person at its terminal knows. */
const KNOWN: ReadonlySet<string> = new Set(['level', 'time', 'name', 'pid', 'hostname', 'msg']);
const LONGEST_FACT = 80;
/** Of all facts of a line that tells of nothing wrong. */
const LONGEST_FACTS = 120;
const SIGNIFICANT_DIGITS = 3;

/** Codes that turn a colour on, and off again. */
const COLOURS = { dim: [2, 22], red: [31, 39], yellow: [33, 39] } as const;

type Colour = keyof typeof COLOURS;

const OF_LEVEL: Readonly<Record<string, Colour>> = { warn: 'yellow', error: 'red', fatal: 'red' };

export interface PrettyOptions {
  readonly colours: boolean;
  /**
   * For whoever reads the line later, among those of others: with the date, milliseconds, and whose line it is,
   * and nothing cut. Default: for who sits at the service's terminal.
   */
  readonly later?: { readonly name: string } | undefined;
}

/**
 * A JSON line of the log as people read it: `12:30:01 WARN message  key=value …`, with the time of this
 * machine's zone, the level if it is not info, and the stack of an error that nobody expected on lines of
 * its own. Throws for a line that is no JSON object.
 */
export function prettyLine(line: string, { colours, later }: PrettyOptions): string {
  const paint = (colour: Colour, text: string): string => {
    const [on, off] = COLOURS[colour];
    return colours ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  };
  const facts = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const { level, time, msg, err } = facts;
  const label = typeof level === 'string' && level !== 'info' ? level : undefined;
  const rest = Object.entries(facts).filter(([key]) => !KNOWN.has(key) && key !== 'err');
  const words = [
    paint('dim', later === undefined ? clockTime(time) : fullTime(time)),
    ...(label === undefined ? [] : [paint(OF_LEVEL[label] ?? 'dim', label.toUpperCase())]),
    ...(later === undefined ? [] : [safe(`${later.name}:`)]),
    ...(typeof msg === 'string' ? [safe(msg)] : []),
  ];
  const text = (value: unknown): string => (later === undefined ? short(value) : whole(value));
  const told = [
    ...(isError(err) && err.message !== msg ? [`error=${text(err.message)}`] : []),
    ...rest.filter(([, value]) => value !== null).map(([key, value]) => `${key}=${text(value)}`),
  ].join(' ');
  const wrong = label !== undefined && label !== 'debug';
  const most = wrong || later !== undefined ? Infinity : LONGEST_FACTS;
  if (told !== '') words.push(paint('dim', ` ${safe(cut(told, most))}`));
  const stack = isError(err) && (label === 'error' || label === 'fatal') ? stackOf(err) : '';
  return `${words.join(' ')}\n${stack === '' ? '' : `${paint('dim', safe(stack))}\n`}`;
}

function clockTime(time: unknown): string {
  const at = new Date(typeof time === 'string' ? time : NaN);
  if (Number.isNaN(at.getTime())) return '--:--:--';
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(':');
}

/** `2026-01-02 03:04:05.678`. */
function fullTime(time: unknown): string {
  const at = new Date(typeof time === 'string' ? time : NaN);
  if (Number.isNaN(at.getTime())) return clockTime(time);
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join('-');
  return `${day} ${clockTime(time)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

function twoDigits(part: number): string {
  return String(part).padStart(2, '0');
}

function short(value: unknown): string {
  return cut(whole(value), LONGEST_FACT);
}

function whole(value: unknown): string {
  return typeof value === 'number' && !Number.isInteger(value)
    ? String(Number(value.toPrecision(SIGNIFICANT_DIGITS)))
    : typeof value === 'string'
      ? /[\s"]|^$/.test(value)
        ? JSON.stringify(value)
        : value
      : JSON.stringify(value);
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

interface LoggedError {
  readonly message: string;
  readonly reason?: unknown;
  readonly stack?: unknown;
}

function isError(value: unknown): value is LoggedError {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { readonly message?: unknown }).message === 'string'
  );
}

/** Of an error that has no reason of ours; without its first line, which repeats the message. */
function stackOf({ reason, stack }: LoggedError): string {
  if (typeof stack !== 'string' || (reason !== undefined && reason !== 'INTERNAL')) return '';
  const at = stack.indexOf('\n    at ');
  return at < 0 ? '' : stack.slice(at + 1);
}

/** Text from callers may not move the cursor or recolour; a message may have lines. */
function safe(text: string): string {
  return text.replace(/(?!\n)\p{Cc}/gu, '\ufffd');
}
