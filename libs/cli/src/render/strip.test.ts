import { tensorOf } from '@cabstand/tensor';
import { LiveArea } from './live-area';
import { StripRenderer } from './strip';
import { createStyle } from './style';

const style = createStyle(false);
const chunk = (index: number, value: number) => ({
  ...{ index, position: index, turn: 0, text: '' },
  outputs: [tensorOf('p', Float32Array.of(value), [1])],
});
const ended = { reason: 'completed', steps: 9 };

test('lines are led by the number of their first record', () => {
  const strip = new StripRenderer({ output: 'p', columns: 20, style, area: undefined });
  const lines = Array.from({ length: 9 }, (_, i) => strip.chunk(chunk(i, i / 8))).join('');
  expect(lines).toBe('       0  ▁▂▃▄▅▆▇█\n');
  expect(strip.finish(ended)).toBe('       8  █\ncompleted after 9 records\n');
});

test('on a terminal a line grows in its place, and messages go by above it', () => {
  const area = new LiveArea();
  const strip = new StripRenderer({ output: 'p', columns: 20, style, area });
  expect(strip.chunk(chunk(0, 0))).toContain('0  ▁');
  const message = area.above('utterance\n');
  expect(message).toMatch(/utterance\n.*0 {2}▁/);
  expect(strip.chunk(chunk(1, 1))).toMatch(/^\r.*0 {2}▁█/);
  expect(strip.finish(ended)).toMatch(/▁█.*\ncompleted after 2 records\n$/s);
});

test('a record without the output is a question, not a crash', () => {
  const strip = new StripRenderer({ output: 'q', columns: 20, style, area: undefined });
  strip.chunk(chunk(0, 1));
  expect(strip.finish(undefined)).toBe('       0  ?\n');
});
