import { numbersOf, stringTensor, tensorFrom, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { toTensors, turnInput } from './input';
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

test('arrays and lists of strings by name become tensors', () => {
  expect(toTensors({ x: Float32Array.of(1, 2), words: ['a', 'b'], none: [] })).toMatchObject([
    { name: 'x', dtype: 'float32', shape: [2] },
    { name: 'words', dtype: 'string', shape: [2], strings: ['a', 'b'] },
    { name: 'none', dtype: 'string', shape: [0] },
  ]);
});

test('a parameter may be a bigint', () => {
  const { parameters } = turnInput(undefined, undefined, { p: 2n ** 53n + 1n, list: [1n, 2] });
  expect(JSON.parse(parameters)).toEqual({ p: '9007199254740993', list: [1, 2] });
  const circle: Record<string, unknown> = {};
  circle['circle'] = circle;
  expect(() => turnInput(undefined, undefined, circle)).toThrow(/JSON/);
});

test('a list of numbers is not taken for strings', () => {
  const numbers: unknown = [1, 2];
  expect(() => toTensors({ x: numbers as string[] })).toThrow(/input x.*typed array or strings/);
});
