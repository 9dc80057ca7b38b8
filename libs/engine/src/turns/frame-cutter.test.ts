import type { FramedInput, InputSpec } from '@cabstand/model';
import { DTYPES, tensorOf } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { allocate } from '../graphs/batch-tensor';
import { FrameCutter } from './frame-cutter';

const spec = (dtype: DType): InputSpec => ({
  name: 'x',
  dtype,
  alsoDtypes: [],
  shape: ['n'],
  minimum: undefined,
  maximum: undefined,
  allowNan: false,
  description: '',
  media: undefined,
});

const framing: FramedInput = {
  input: 'x',
  axis: 0,
  frame: 2,
  hop: 2,
  carry: 0,
  carryValue: 0,
  remainder: 'keep',
  formats: ['float32', 'int16'],
};

test('int16 samples are divided by 32768, in frames and where they are carried on', () => {
  const cutter = new FrameCutter({ ...framing, carry: 1 }, spec('float32'));
  cutter.add(tensorOf('x', Int16Array.of(-32768, 16384, 0, 8192)), 0);
  const filled = new Float32Array(3);
  cutter.fill(filled);
  expect([...filled]).toEqual([0, -1, 0.5]);
  cutter.advance();
  cutter.fill(filled);
  expect([...filled]).toEqual([0.5, 0, 0.25]);
});

test.each<[DType, number, number | bigint]>([
  ['float32', -0.5, -0.5],
  ['float16', 0.5, 0x3800],
  ['float16', -2, 0xc000],
  ['int64', -7, -7n],
  ['uint8', 128, 128],
])('before the first frame %s items are %d', (dtype, carryValue, element) => {
  const cutter = new FrameCutter({ ...framing, carry: 2, carryValue }, spec(dtype));
  const items = allocate(dtype, 2);
  cutter.add(tensorOf('x', items, [2], dtype), 0);
  const filled = allocate(dtype, 4);
  cutter.fill(filled);
  const zero = DTYPES[dtype].array === BigInt64Array ? 0n : 0;
  expect([...filled]).toEqual([element, element, zero, zero]);
});
