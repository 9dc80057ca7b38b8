import { stringTensor, tensorFrom, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { bar, level } from './bar';
import { JsonRenderer, tensorJson } from './json';
import { LabelRenderer } from './labels';
import type { OutputChunk } from './output';
import { createStyle, printable, visibleLength } from './style';
import { table } from './table';
import { TensorRenderer } from './tensors';
import { TextRenderer } from './text';
import { TimelineRenderer } from './timeline';
import { bytes, clockTime, duration } from './units';

const style = createStyle(false);
const done = { reason: 'completed', steps: 3 };
const chunk = (index: number, rest: Partial<OutputChunk>): OutputChunk => ({
  index,
  // As in a live turn, where each part of the input takes a position, too.
  position: 2 * index + 1,
  turn: 0,
  text: '',
  outputs: [],
  ...rest,
});
const probability = (index: number, value: number): OutputChunk =>
  chunk(index, { outputs: [tensorOf('p', Float32Array.of(value), [1, 1])] });

test('times, sizes and durations', () => {
  expect(clockTime(83.456)).toBe('1:23.46');
  expect(clockTime(59.999)).toBe('1:00.00');
  expect(bytes(999)).toBe('999 B');
  expect(bytes(2_327_524)).toBe('2.3 MB');
  expect(duration(1234)).toBe('1.2 s');
});

test('bars stay within their width whatever the value', () => {
  expect(bar(0.5, 4)).toBe('██░░');
  expect(bar(7, 2)).toBe('██');
  expect(bar(NaN, 2)).toBe('░░');
  expect([level(0), level(0.49), level(1), level(NaN)]).toEqual(['▁', '▄', '█', '?']);
});

test('columns line up, colours not counted', () => {
  const colour = createStyle(true);
  expect(visibleLength(colour.red('abc'))).toBe(3);
  expect(
    table([
      ['a', 'bb'],
      [colour.red('ccc'), 'd'],
    ]),
  ).toBe(`a    bb\n${colour.red('ccc')}  d\n`);
});

test('control characters from elsewhere cannot reach the terminal', () => {
  expect(printable('a\u001b[2Jb\n')).toBe('a\ufffd[2Jb\ufffd');
});

describe('a timeline', () => {
  const make = (live: boolean): TimelineRenderer =>
    new TimelineRenderer({
      frameSeconds: 0.032,
      output: 'p',
      label: 'speech',
      columns: 22,
      style,
      live,
    });

  test('shows a strip and the segments of speech', () => {
    const renderer = make(false);
    const values = [0, 0, 0.9, 0.9, 0.1, 0.9, 0, 0, 0, 0, 0, 0.7];
    const strip = values.map((value, i) => renderer.chunk(probability(i, value))).join('');
    expect(strip).toBe(' 0:00.00  ▁▁██▁█▁▁▁▁\n');
    // A gap of one frame does not end a segment; one of five does.
    expect(renderer.finish({ reason: 'completed', steps: 12 })).toBe(
      ' 0:00.32  ▁▆\n' +
        'speech   0:00.06 – 0:00.19  (0.13 s)\n' +
        'speech   0:00.35 – 0:00.38  (0.03 s)\n' +
        '12 frames, 0:00.38\n',
    );
  });

  test('live, each frame is printed when it comes', () => {
    const renderer = make(true);
    expect(renderer.chunk(probability(0, 1))).toBe(' 0:00.00  █');
    expect(renderer.chunk(probability(1, 0))).toBe('▁');
    expect(renderer.finish(undefined)).toMatch(/^\nspeech/);
  });

  test('says so when there is none', () => {
    expect(make(false).finish(done)).toContain('no speech\n');
  });
});

test('text comes as it is generated, and says when it was broken off', () => {
  const renderer = new TextRenderer(style, ' ');
  expect(renderer.chunk(chunk(0, { text: 'T' })) + renderer.chunk(chunk(1, { text: 'AE1' }))).toBe(
    'T AE1',
  );
  expect(renderer.finish({ reason: 'cancelled', steps: 2 })).toBe(' (cancelled)\n');
});

test('labels are ranked, each row on its own', () => {
  const renderer = new LabelRenderer('o', ['0', '180'], style);
  const two = tensorOf('o', Float32Array.of(0.25, 0.75, 1, 0), [2, 2]);
  expect(renderer.chunk(chunk(0, { outputs: [two] }))).toBe(
    'o of 1:\n' +
      '180  ██████████████████░░░░░░  75.00 %\n' +
      '0    ██████░░░░░░░░░░░░░░░░░░  25.00 %\n' +
      'o of 2:\n' +
      '0    ████████████████████████ 100.00 %\n' +
      '180  ░░░░░░░░░░░░░░░░░░░░░░░░   0.00 %\n',
  );
});

test('other tensors show their first elements', () => {
  const renderer = new TensorRenderer(style);
  const tensor = tensorOf(
    'x',
    BigInt64Array.from({ length: 9 }, (_, i) => BigInt(i)),
  );
  expect(renderer.chunk(chunk(4, { outputs: [tensor] }))).toBe(
    '     4  x int64 [9]  0 1 2 3 4 5 6 7 …\n',
  );
  expect(renderer.finish(done)).toBe('completed after 3 steps\n');
});

test.each<[string, Tensor, string]>([
  ['float16', tensorFrom('x', 'float16', [0.1, 2]), 'float16 [2]  0.099976 2'],
  ['bool', tensorFrom('x', 'bool', [true, false]), 'bool [2]  true false'],
  ['a scalar', tensorFrom('x', 'float32', [0.5], []), 'float32 []  0.50000'],
  ['nothing', tensorFrom('x', 'float32', [], [0, 3]), 'float32 [0, 3]  (no elements)'],
  [
    'large integers',
    tensorFrom('x', 'uint64', ['18446744073709551615']),
    'uint64 [1]  18446744073709551615',
  ],
  [
    'strings',
    stringTensor('x', ['a b', '\u001b[2J\u009b']),
    'string [2]  "a b" "\\u001b[2J\ufffd"',
  ],
  ['no strings', stringTensor('x', []), 'string [0]  (no elements)'],
])('%s: elements as people write them', (_, tensor, text) => {
  const line = new TensorRenderer(style).chunk(chunk(0, { outputs: [tensor] }));
  expect(line).toBe(`     0  x ${text}\n`);
});

test('labels of float16 are ranked by their numbers', () => {
  const renderer = new LabelRenderer('o', ['a', 'b'], style);
  const [first] = renderer
    .chunk(chunk(0, { outputs: [tensorFrom('o', 'float16', [0.25, 0.75])] }))
    .split('\n');
  expect(first).toMatch(/^b .* 75.00 %$/);
});

describe('JSON', () => {
  test('one object per line, read back exactly', () => {
    const line = new JsonRenderer(false).chunk(probability(3, 0.1));
    expect(line.endsWith('\n')).toBe(true);
    expect(JSON.parse(line)).toEqual({
      index: 3,
      position: 7,
      turn: 0,
      outputs: { p: { dtype: 'float32', shape: [1, 1], data: [Math.fround(0.1)] } },
    });
    expect(new JsonRenderer(false).finish(done)).toBe('{"end":"completed","steps":3}\n');
  });

  test('what JSON has no number for is a string', () => {
    expect(tensorJson(tensorOf('x', Float32Array.of(NaN, Infinity)), false)['data']).toEqual([
      'NaN',
      'Infinity',
    ]);
    expect(tensorJson(tensorOf('x', BigInt64Array.of(1n, 2n ** 60n)), false)['data']).toEqual([
      1,
      '1152921504606846976',
    ]);
  });

  test('strings, bools and float16 are what they mean', () => {
    const data = (tensor: Tensor) => tensorJson(tensor, false)['data'];
    expect(data(stringTensor('x', ['a', 'ü']))).toEqual(['a', 'ü']);
    expect(data(tensorFrom('x', 'bool', [true, false]))).toEqual([true, false]);
    expect(data(tensorFrom('x', 'float16', [0.5, NaN]))).toEqual([0.5, 'NaN']);
    expect(tensorJson(stringTensor('x', ['a']), true)).toEqual({
      dtype: 'string',
      shape: [1],
      data: ['a'],
    });
  });

  test('base64 holds the bytes', () => {
    const { base64 } = tensorJson(tensorOf('x', Uint8Array.of(1, 2, 3)), true);
    expect(base64).toBe('AQID');
  });
});
