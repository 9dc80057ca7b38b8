import type { v1 } from '@cabstand/rpc';
import { createStyle, visibleLength } from '../render/style';
import { screenLines } from './screen';
import { node, scraped, view } from './top.fixture';

const plain = createStyle(false);
const SMALL = { columns: 80, rows: 24, style: plain };

test('thousands of nodes and models take the lines and columns that there are, and the rest is counted', () => {
  const models = Array.from({ length: 500 }, (_, i) => ({
    name: `model-with-a-long-name-${i}`,
    capacity: 8,
  })) as v1.ModelOffer__Output[];
  const nodes = Array.from({ length: 5000 }, (_, i) =>
    node(`hoster-with-a-long-name-${i}`, i % 7 === 0 ? { models } : {}),
  );
  for (const coloured of [false, true])
    for (const rows of [24, 10, 60]) {
      const lines = screenLines(view(nodes), { columns: 80, rows, style: createStyle(coloured) });
      expect(lines.length).toBeLessThanOrEqual(rows);
      for (const line of lines) expect(visibleLength(line)).toBeLessThanOrEqual(80);
    }
  const text = screenLines(view(nodes), SMALL).join('\n');
  expect(text).toMatch(/… and 49\d\d more nodes/);
  expect(text).toMatch(/… and 49\d more models/);
  expect(text).toContain('nodes     5000: 5000 ONLINE');
  // No colours where none are wanted.
  expect(text).not.toContain('\u001b');
});

test('what needs somebody stands first, with the reason', () => {
  const nodes = [
    node('quiet'),
    node('busy', {}, 2, 6),
    node('left', { state: 'NODE_STATE_OFFLINE', state_reasons: ['deregistered: it stops'] }),
    node('dead', { state: 'NODE_STATE_OFFLINE', state_reasons: ['silent: no heartbeat for 10 s'] }),
    node('ill', { state: 'NODE_STATE_SUSPECT', state_reasons: ['reports: 3 of 2 principals'] }),
    node('going', { state: 'NODE_STATE_DRAINING', state_reasons: ['draining: asked by admin'] }),
  ];
  const lines = screenLines(view(nodes), SMALL);
  const rows = lines.slice(lines.findIndex((line) => line.startsWith('NODE')) + 1);
  expect(rows.map((line) => line.split(' ')[0])).toEqual([
    'ill',
    'dead',
    'going',
    'busy',
    'quiet',
    'left',
  ]);
  expect(rows[0]).toMatch(/^ill +SUSPECT .*reports: 3 of 2 principals/);
  expect(rows[3]).toMatch(/^busy +ONLINE +6 +0 +2\/8/);
});

test('sessions are told apart by the slots that they take', () => {
  // 3 of 8 slots are taken, and 10 sessions open: 7 of them idle.
  const { sessions, nodes } = view([node('a', {}, 5, 10)]);
  expect(sessions).toMatchObject({ open: 10, running: 3, idle: 7, free: 5, slots: 8 });
  expect(nodes[0]).toMatchObject({ open: 10, running: 3, idle: 7 });
});

test('metrics of all hosters say more exactly who is idle, and what came of failures', () => {
  const hoster = (atMs: number, records: number, elsewhere: number) =>
    scraped(
      'h',
      atMs,
      ['cabstand_open_sessions', {}, 10],
      ['cabstand_idle_sessions', {}, 4],
      ['cabstand_records_total', { model: 'g2p' }, records],
      ['cabstand_resumes_total', { cause: 'elsewhere', model: 'g2p' }, elsewhere],
    );
  const router = (atMs: number, ok: number) =>
    scraped('r', atMs, ['cabstand_handouts_total', { result: 'ok' }, ok]);
  const shown = view(
    [node('a', {}, 5, 10)],
    [hoster(0, 0, 1), router(0, 0)],
    [hoster(2000, 50, 3), router(2000, 8)],
  );
  expect(shown.sessions).toMatchObject({ open: 10, running: 6, idle: 4 });
  expect(shown.models[0]).toMatchObject({ model: 'g2p', records_per_second: 25 });
  expect(shown.flow).toMatchObject({
    failovers: 2,
    failovers_total: { elsewhere: 3 },
    handouts_per_second: { ok: 4 },
  });
  const text = screenLines(shown, SMALL).join('\n');
  expect(text).toContain('failovers 2 in 2 s, 3 elsewhere; 0 sessions lost');
  expect(text).toContain('handouts  4.0/s ok; 0 reserved');
});

test('names and reasons from elsewhere cannot move the cursor', () => {
  const nodes = [node('a\u001b[2J', { state_reasons: ['\u001b]0;title\u0007'] })];
  expect(screenLines(view(nodes), SMALL).join('')).not.toContain('\u001b');
});
