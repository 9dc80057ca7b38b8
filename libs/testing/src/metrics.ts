/** Value of each series of a Prometheus page, keyed as printed: `name{label="value"}`. */
export async function scrape(admin: string): Promise<Map<string, number>> {
  const response = await fetch(`http://${admin}/metrics`);
  const text = await response.text();
  const series = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    const value = line.slice(space + 1);
    series.set(line.slice(0, space), value === '+Inf' ? Infinity : Number(value));
  }
  return series;
}

/** Sum over all series of one name whose labels contain `labels`. */
export function total(
  series: ReadonlyMap<string, number>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  let sum = 0;
  for (const [key, value] of series) {
    if (key !== name && !key.startsWith(`${name}{`)) continue;
    if (wanted.every((pair) => key.includes(pair))) sum += value;
  }
  return sum;
}

/** Words that a HELP text of Cabstand's own metrics has at least; shorter ones say what the name says. */
const HELP_WORDS = 7;
/** Of metrics that libraries define. */
const FOREIGN_HELP_WORDS = 3;

/**
 * What is wrong with a Prometheus page: HELP texts that are no sentence, and counters and histograms of
 * Cabstand that have no series, so that `rate` would miss the first event. `later`: names of those whose
 * labels nobody knows before.
 */
export function pageFaults(page: string, later: readonly string[] = []): string[] {
  const lines = page.split('\n');
  const withSeries = new Set(
    lines.filter((line) => !line.startsWith('#')).map((line) => line.split(/[{ ]/, 1)[0]),
  );
  const faults: string[] = [];
  for (const line of lines) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    const own = /^(cabstand|grpc)_/.test(name);
    if (kind === 'HELP') {
      const words = rest.split(/\s+/).length;
      if (words < (own ? HELP_WORDS : FOREIGN_HELP_WORDS)) faults.push(`${name}: short: ${rest}`);
      if (!rest.endsWith('.')) faults.push(`${name}: no sentence: ${rest}`);
    } else if (kind === 'TYPE' && own && !later.includes(name)) {
      const series = rest === 'histogram' ? `${name}_count` : name;
      if (rest !== 'gauge' && !withSeries.has(series)) faults.push(`${name}: no series`);
    }
  }
  return faults;
}
