/** Names of metrics: those that a page of `/metrics` has, and those that a text names. */
const SERIES_OF_HISTOGRAM = ['', '_bucket', '_sum', '_count'];

export interface ExportedMetric {
  readonly name: string;
  /** As in `# TYPE`: counter, gauge, histogram, summary. */
  readonly type: string;
  readonly help: string;
}

/** All metrics of a page in Prometheus's text format. */
export function metricsOf(page: string): ExportedMetric[] {
  const types = new Map(
    [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  );
  return [...page.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', help = '']) => ({
    name,
    type: types.get(name) ?? 'untyped',
    help,
  }));
}

/** Every name by which queries may ask for these metrics. */
export function queryNames(metrics: readonly ExportedMetric[]): Set<string> {
  return new Set(
    metrics.flatMap(({ name, type }) =>
      type === 'histogram' ? SERIES_OF_HISTOGRAM.map((end) => `${name}${end}`) : [name],
    ),
  );
}

/** What a text names that looks like a metric of a service. */
export function namedMetrics(text: string): string[] {
  const names = text.matchAll(
    /(?<![\w.-])(?:cabstand|grpc_server|process|nodejs)_[a-z0-9_]*[a-z0-9]\b/g,
  );
  return [...names].map(([name]) => name);
}

/** Rows of the tables in docs/metrics.md, by the heading above them: `name | type | text`. */
export function documentedMetrics(page: string): Map<string, string[]> {
  const sections = page.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const rows = section.matchAll(/^\| `(\w+)` +\| (\w+) +\| (.*?) *\|$/gm);
      const heading = section.slice(0, section.indexOf('\n'));
      return [heading, [...rows].map(([, ...cells]) => cells.slice(0, 3).join(' | '))];
    }),
  );
}
