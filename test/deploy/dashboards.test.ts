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
  readonly targets?: readonly { readonly expr: string; readonly datasource: { uid: string } }[];
}

const GRAFANA = path.join(REPOSITORY_ROOT, 'deploy/grafana');
const WIDTH = 24;

const read = (...file: string[]) => readFileSync(path.join(GRAFANA, ...file), 'utf8');
const files = readdirSync(path.join(GRAFANA, 'dashboards'));
const { datasources } = parse(read('provisioning/datasources/prometheus.yaml')) as {
  datasources: { uid: string; type: string }[];
};
const uids = datasources.map(({ uid }) => uid);

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
