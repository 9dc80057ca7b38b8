/** Dashboards are provisioned with a data source that there is, and answer the three questions of docs/operations/watching.md. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { parse } from 'yaml';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly Target[];
}

interface Target {
  readonly expr: string;
  readonly exemplar?: boolean;
  readonly datasource: { readonly uid: string };
}

interface DataSource {
  readonly uid: string;
  readonly jsonData?: {
    readonly exemplarTraceIdDestinations?: readonly { name: string; datasourceUid: string }[];
  };
}

const GRAFANA = path.join(REPOSITORY_ROOT, 'deploy/grafana');
const WIDTH = 24;

const read = (...file: string[]) => readFileSync(path.join(GRAFANA, ...file), 'utf8');
const files = readdirSync(path.join(GRAFANA, 'dashboards'));
const sources = readdirSync(path.join(GRAFANA, 'provisioning/datasources')).flatMap((file) => {
  const { datasources } = parse(read('provisioning/datasources', file)) as {
    datasources: DataSource[];
  };
  return datasources;
});
const uids = sources.map(({ uid }) => uid);

test('there is a dashboard', () => expect(files).toContain('cabstand.json'));

describe.each(files)('%s', (file) => {
  const { panels } = JSON.parse(read('dashboards', file)) as { panels: readonly Panel[] };
  const graphs = panels.filter(({ type }) => type !== 'row');

  test('has the questions of the documentation as its rows', () => {
    const page = readFileSync(path.join(REPOSITORY_ROOT, 'docs/operations/watching.md'), 'utf8');
    const asked = [...page.matchAll(/^### (.*\?)$/gm)].map(([, question]) => question);
    expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual(asked);
    expect(asked).toHaveLength(3);
  });

  test('asks the data source that is provisioned, and says what each panel shows', () => {
    for (const { title, description, datasource, targets = [] } of graphs) {
      expect({ title, described: (description ?? '') !== '' }).toEqual({ title, described: true });
      expect(targets.length).toBeGreaterThan(0);
      for (const source of [datasource, ...targets.map((each) => each.datasource)])
        expect(uids).toContain(source?.uid);
    }
  });

  test('leads from histograms that name traces to those', () => {
    const page = readFileSync(path.join(REPOSITORY_ROOT, 'docs/tracing.md'), 'utf8');
    const [, listed = ''] = /histograms ((?:`\w+`[,\s]*(?:and\s)?)+)/.exec(page) ?? [];
    const named = [...listed.matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
    const shown = graphs
      .flatMap(({ targets = [] }) => targets.filter(({ exemplar }) => exemplar === true))
      .map(({ expr }) => /\b(cabstand_\w+)_bucket/.exec(expr)?.[1]);
    expect(shown.sort()).toEqual(named.sort());
    const leads = sources.flatMap(({ jsonData }) => jsonData?.exemplarTraceIdDestinations ?? []);
    expect(leads).toEqual([{ name: 'trace_id', datasourceUid: 'cabstand-jaeger' }]);
    for (const { datasourceUid } of leads) expect(uids).toContain(datasourceUid);
  });

  test('lays no panel over another', () => {
    const taken = new Map<string, string>();
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(WIDTH);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(`${title} over ${taken.get(`${x} ${y}`) ?? 'nothing'}`).toBe(
            `${title} over nothing`,
          );
          taken.set(`${x} ${y}`, title);
        }
    }
  });
});
