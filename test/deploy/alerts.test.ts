/** Each alert has a paragraph that says what to do, a case in which it fires, and one in which it does not. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { parse } from 'yaml';

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
    }[];
  }[];
}

interface Cases {
  readonly tests: readonly {
    readonly alert_rule_test: readonly {
      readonly alertname: string;
      readonly exp_alerts?: readonly unknown[];
    }[];
  }[];
}

const RUNBOOK = 'docs/operations/runbook.md';
/** A paragraph of fewer words says nothing that the alert's summary does not. */
const LEAST_WORDS = 25;

const read = (file: string) => readFileSync(path.join(REPOSITORY_ROOT, file), 'utf8');
const rules = (parse(read('deploy/prometheus/alerts.yml')) as Rules).groups.flatMap(
  (group) => group.rules,
);
const names = rules.map(({ alert }) => alert);
const cases = (parse(read('deploy/prometheus/alerts.test.yml')) as Cases).tests.flatMap(
  (test) => test.alert_rule_test,
);

/** Text below each heading of the second level. */
function paragraphs(): Map<string, string> {
  const parts = read(RUNBOOK).split(/^## /m).slice(1);
  return new Map(
    parts.map((part) => {
      const end = part.indexOf('\n');
      return [part.slice(0, end), part.slice(end).trim()];
    }),
  );
}

test('each alert has a paragraph of its own in the runbook, and the runbook no other', () => {
  const found = paragraphs();
  expect([...found.keys()].sort()).toEqual([...names].sort());
  const short = [...found].filter(([, text]) => text.split(/\s+/).length < LEAST_WORDS);
  expect(short.map(([alert]) => alert)).toEqual([]);
});

test.each(rules)('$alert says how bad it is, what happens, and where to read on', (rule) => {
  expect(['warning', 'critical']).toContain(rule.labels.severity);
  expect(rule.annotations.summary).toMatch(/\.$/);
  expect(rule.annotations.runbook_url).toBe(`${RUNBOOK}#${rule.alert.toLowerCase()}`);
});

test.each(names)('%s has a case that fires it and one that does not', (name) => {
  const own = cases.filter(({ alertname }) => alertname === name);
  const fires = own.map(({ exp_alerts = [] }) => exp_alerts.length > 0);
  expect(fires).toContain(true);
  expect(fires).toContain(false);
});

test('there is no case of an alert that does not exist', () => {
  expect(cases.map(({ alertname }) => alertname).filter((name) => !names.includes(name))).toEqual(
    [],
  );
});
