import { Readable } from 'node:stream';
import { numbersOf, stringTensor, tensorFrom, tensorOf } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import fc from 'fast-check';
import { toTensors, turnInput } from './input';
import { isTyped, typedInputs } from './input-values';
import type { MockProtocolOptions } from '@cabstand/testing';
import { collect, mocked } from './mocked.fixture';

const edges: readonly Tensor[] = [
  tensorOf('empty', new Float32Array(0), [0, 3]),
  tensorOf('inner', new BigInt64Array(0), [2, 0]),
  tensorOf('scalar', Float64Array.of(0.5), []),
  tensorFrom('half', 'float16', [0.5, -2]),
  tensorFrom('flag', 'bool', [true], []),
  tensorFrom('large', 'uint64', ['18446744073709551615']),
  stringTensor('words', ['', 'ü\u0000'], [1, 2]),
  stringTensor('none', [], [0]),
];

const plain = ({ name, dtype, shape, data, strings }: Tensor) => ({
  ...{ name, dtype, shape, data: [...data], strings },
});

test.each(['mock', 'grpc'] as const)(
  'over %s, tensors of any dtype arrive as they were sent: empty, scalars, strings',
  async (kind) => {
    const { session } = await mocked(kind);
    const [chunk] = await collect(session.runProtocolTask(undefined, edges));
    expect(chunk?.tensors.map(plain)).toEqual(edges.map(plain));
    expect([...numbersOf(chunk!.tensor('half'))]).toEqual([0.5, -2]);
    expect(session.lastTurn).toMatchObject({ reason: 'completed' });
  },
);

test('arrays and lists by name become tensors, lists of numbers as soon as their dtype is known', () => {
  const given = toTensors({
    x: Float32Array.of(1, 2),
    bytes: Buffer.of(1, 2),
    pixels: Uint8ClampedArray.of(3),
    words: [['a', 'b']],
    word: 'a',
    flags: [true, false],
    flag: true,
    numbers: [
      [1, 2],
      [3, 4],
    ],
    scalar: 5n,
    none: [],
  });
  expect(given).toMatchObject([
    { name: 'x', dtype: 'float32', shape: [2] },
    { name: 'bytes', dtype: 'uint8', shape: [2] },
    { name: 'pixels', dtype: 'uint8', shape: [1] },
    { name: 'words', dtype: 'string', shape: [1, 2], strings: ['a', 'b'] },
    { name: 'word', dtype: 'string', shape: [1], strings: ['a'] },
    { name: 'flags', dtype: 'bool', shape: [2] },
    { name: 'flag', dtype: 'bool', shape: [] },
    { name: 'numbers', shape: [2, 2], values: [1, 2, 3, 4] },
    { name: 'scalar', shape: [], values: [5n] },
    { name: 'none', shape: [0], values: [] },
  ]);
  expect(given.slice(7).every((one) => !isTyped(one))).toBe(true);
});

test('numbers become elements of every dtype, and come back as they were', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<DType>('float32', 'float64', 'float16', 'int8', 'uint32', 'int64', 'uint64'),
      fc.array(fc.integer({ min: 0, max: 100 })),
      (dtype, values) => {
        const [tensor] = typedInputs([{ name: 'x', shape: [values.length], values }], {
          ...{ digest: '', framing: [], maxMessageBytes: Infinity },
          inputs: [{ name: 'x', dtype }],
        });
        expect(tensor).toMatchObject({ name: 'x', dtype, shape: [values.length] });
        expect(Array.from(numbersOf(tensor!), Number)).toEqual(values);
      },
    ),
  );
});

test('an empty list is strings where the model takes strings', () => {
  const model = { digest: '', framing: [], maxMessageBytes: Infinity };
  const inputs = [{ name: 'x', dtype: 'string' as const }];
  const none = { name: 'x', shape: [0], values: [] };
  expect(typedInputs([none], { ...model, inputs })).toMatchObject([
    { dtype: 'string', strings: [] },
  ]);
});

const wav = Buffer.from('RIFF\0\0\0\0WAVEfmt ');
const png = Buffer.from('89504e470d0a1a0a0000', 'hex');

test.each<[string, unknown, RegExp]>([
  [
    'WAV',
    wav,
    /WAV file.*await audioFrom\(bytes, \{ sampleRate: 16000 \}\).*tensorOf\("x", bytes\)/,
  ],
  ['PNG', new Uint8Array(png), /PNG file.*pixels/],
  ['MP3', Buffer.from('ID3...'), /MP3 file.*ffmpeg.*audioFrom/],
  ['nothing', undefined, /got nothing.*leave out/],
  ['null', null, /got null.*leave out/],
  ['a promise', Promise.resolve([1]), /a promise.*await it/],
  ['an ArrayBuffer', new ArrayBuffer(4), /new Float32Array\(buffer\)/],
  ['a DataView', new DataView(new ArrayBuffer(4)), /DataView.*typed array/],
  ['rows of arrays', [Float32Array.of(1)], /tensorOf\("x", array, \[rows, columns\]\)/],
  ['a stream', Readable.from([1]), /session\.live\(\)/],
  ['a function', () => 1, /got "function"/],
  ['an object', { a: 1 }, /got "object", expected a tensor, a typed array or a list/],
  ['numbers and text', [1, '2'], /got "number and string", expected elements of one kind/],
  ['ragged lists', [[1], [2, 3]], /different lengths.*pad/],
  ['deep lists', [[[[[[[[[1]]]]]]]]], /at most 8 deep/],
])('%s is refused with what to give instead', (_what, value, message) => {
  expect(() => toTensors({ x: value as number[] })).toThrow(message);
  expect(() => toTensors({ x: value as number[] })).toThrow(/^input x: got /);
});

const numbers = (name: string) => ({
  inputs: { inputs: [{ name, dtype: 'float32' as const }], framing: [] },
});

describe.each(['turn', 'live'] as const)('the path of a file in a %s', (kind) => {
  const send = async (name: string, value: string, options: MockProtocolOptions) => {
    const { session, mock } = await mocked('mock', options);
    if (kind === 'turn') await collect(session.runProtocolTask(undefined, { [name]: value }));
    else {
      const live = session.live();
      const read = collect(live);
      read.catch(() => undefined);
      await live.write({ [name]: value });
      await live.end();
      await read;
    }
    return mock;
  };

  test.each<[string, RegExp]>([
    [
      'speech.wav',
      /got "speech\.wav".*samples, a path is no audio: await audioFrom\("speech\.wav", \{ sample/,
    ],
    ['./a b/Speech.MP3', /ffmpeg.*audioFrom.*a path is no audio/],
    ['cat.jpeg', /pixels.*a path is no picture/],
  ])('%s is no input of numbers', async (path, message) => {
    const error: unknown = await send('audio', path, numbers('audio')).catch((e: unknown) => e);
    expect(error).toMatchObject({ reason: 'INPUT_DTYPE', metadata: { field: 'input audio' } });
    expect(String(error)).toMatch(message);
  });

  test('is text where the model takes text, and where nobody tells what it takes', async () => {
    const strings = { inputs: { inputs: [{ name: 'x', dtype: 'string' as const }], framing: [] } };
    for (const options of [strings, {}]) {
      const mock = await send('x', 'speech.wav', options);
      expect(mock.turns).toHaveLength(1);
    }
  });
});

test('a bare array where tensors are expected is told to be given by name', () => {
  const samples: unknown = [0.5, 1];
  expect(() => toTensors(samples as Tensor[])).toThrow(
    /inputs\[0\].*by name: \{ audio: samples \}/,
  );
});

test('any other bytes are bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(toTensors({ x: bytes })).toMatchObject([{ dtype: 'uint8', shape: [bytes.length] }]);
    }),
  );
});

test('a parameter may be a bigint', () => {
  const { parameters } = turnInput(undefined, undefined, { p: 2n ** 53n + 1n, list: [1n, 2] });
  expect(JSON.parse(parameters)).toEqual({ p: '9007199254740993', list: [1, 2] });
  const circle: Record<string, unknown> = {};
  circle['circle'] = circle;
  expect(() => turnInput(undefined, undefined, circle)).toThrow(/JSON/);
});
