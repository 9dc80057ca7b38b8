// Asks Prometheus what each panel of the dashboard asks, over the last minutes, and holds the answers against what they
// can be after a hoster and an engine were killed and all kinds of models were called:
//
//   node panels.mjs http://127.0.0.1:9090
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { URLSearchParams } from 'node:url';

const DASHBOARD = new URL('../../deploy/grafana/dashboards/cabstand.json', import.meta.url);
const SECONDS = 900;
const STEP = 5;
const HOSTERS = 2;
/** Routers, hosters, the gateway. */
const PROCESSES = 4;

/** Of numbers from `least` to `most`; `seen` are among them, and something `above` is. */
const within = (least, most, { seen = [], above = least - 1 } = {}) => ({
  least,
  most,
  seen,
  above,
});
/** Seconds that a caller may wait here, on a busy machine. */
const patience = within(0, 120, { above: 0 });
const share = within(0, 1);
const rate = (most) => within(0, most, { above: 0 });

const PANELS = {
  // Prometheus is there before the others are.
  'Processes that do not answer': within(0, PROCESSES, { seen: [0, 1] }),
  'Hosters to hand out': within(0, HOSTERS, { seen: [1, 2] }),
  'Hosters that routers distrust': within(0, HOSTERS),
  'Models that do not serve': within(0, 0),
  // Those that a hoster or an engine took with it went on.
  'Sessions lost in 15 min': within(0, 0),
  'First certificate ends in': within(300 * 86_400, 366 * 86_400),
  'Hosters by state': within(0, HOSTERS, { seen: [0, 1, 2] }),
  'Deaths of engines': within(0, 10, { above: 0 }),
  'How sessions end': rate(100),
  'Sessions that went on after a break': rate(100),
  'Callers turned away at the door': within(0, 100),
  'Versions that run': within(1, PROCESSES),
  'Wait for the first chunk': patience,
  'Between two chunks': patience,
  Records: rate(100_000),
  'Wait for a slot': within(0, 120),
  'Wait for the engine and its step': within(0, 120),
  'Time of a step': patience,
  'Rows of a step': within(1, 1024),
  'What a failure costs a stream': patience,
  'How late main processes are': within(0, 60, { above: 0 }),
  'Language models: first token': within(0, 120),
  'Language models: tokens': rate(100_000),
  'Unary calls': patience,
  'Slots in use': share,
  Sessions: within(0, 1000),
  'Who is refused': within(0, 100),
  'Time of engines': within(0, 1.5),
  Processors: rate(256),
  Memory: within(2 ** 20, 2 ** 34),
  'Readers that do not keep up': within(0, 2 ** 30),
  'Limits of routers and gateways': share,
  'Language models: caches': share,
};

const [prometheus] = process.argv.slice(2);
const { panels } = JSON.parse(readFileSync(DASHBOARD, 'utf8'));
const problems = [];

async function get(path, asked) {
  const answer = await fetch(`${prometheus}/api/v1/${path}?${new URLSearchParams(asked)}`);
  const { status, error, data } = await answer.json();
  if (status !== 'success') throw new Error(`${asked.query}: ${error}`);
  return data.result;
}

/** Until Prometheus has read everything once more. */
async function read() {
  const since = Date.now() / 1000;
  const until = since + 60;
  for (;;) {
    const [oldest] = await get('query', { query: 'min(timestamp(up{job=~"cabstand.*"}))' });
    if (Number(oldest?.value[1] ?? 0) > since) return;
    if (Date.now() / 1000 > until) throw new Error('Prometheus does not read all targets');
    await sleep(500);
  }
}

/** The values that a query had, of all its series; those that are no number (0 of 0) are left out. */
async function values(query) {
  const end = Date.now() / 1000;
  const result = await get('query_range', { query, start: end - SECONDS, end, step: STEP });
  return result.flatMap((series) =>
    series.values.map(([, value]) => Number(value)).filter(Number.isFinite),
  );
}

async function look({ title, targets }) {
  const expected = PANELS[title];
  if (expected === undefined) return problems.push(`${title}: nothing is expected of it`);
  const { least, most, seen, above } = expected;
  const all = [];
  for (const { expr } of targets) {
    const query = expr.replaceAll('$model', '.*');
    // What shows only what is above 0 may have nothing to show, but must have something to look at.
    const found = await values(query.replace(/ > 0$/, ''));
    if (found.length === 0) problems.push(`${title}: no series for ${query}`);
    all.push(...found);
  }
  const [low, high] = [Math.min(...all), Math.max(...all)];
  console.log(`${title}: ${all.length} values from ${low} to ${high}`);
  if (low < least || high > most) problems.push(`${title}: ${low} to ${high}`);
  if (high <= above) problems.push(`${title}: nothing above ${above}`);
  for (const value of seen) if (!all.includes(value)) problems.push(`${title}: never ${value}`);
}

await read();
const shown = panels.filter(({ type }) => type !== 'row');
for (const panel of shown) await look(panel);
for (const title of Object.keys(PANELS))
  if (!shown.some((panel) => panel.title === title))
    problems.push(`${title}: there is no such panel`);
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
