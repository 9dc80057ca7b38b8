import { refusalOf } from '@cabstand/testing';
import { numbersOf, tensorFrom, tensorOf } from '@cabstand/tensor';
import { parseAs, parseLastEventId, sessionSchema } from './parse';
import { rawTensor, tensorsJson, tensorsOf } from './tensors';

/** What something is refused with that throws at once. */
const refused = (run: () => unknown) => refusalOf(Promise.resolve().then(run));

test('all that is wrong with a body is told at once, by field, value and what was expected', async () => {
  const body = { model: 7, tensors: { audio: { dtype: 'float33', data: [1] } }, more: true };
  const error = await refused(() => parseAs(sessionSchema, body, 'body'));
  expect(error.reason).toBe('INVALID_ARGUMENT');
  for (const told of ['body.model', 'got 7', 'body.tensors.audio.dtype', '"float33"', 'more'])
    expect(error.message).toContain(told);
});

test('tensors of a record can be sent as they came', () => {
  const tensors = [
    tensorOf('audio', Float32Array.of(0.5, -1, 1e-9)),
    tensorFrom('big', 'int64', [2n ** 60n, -1n], [2, 1]),
    tensorFrom('odd', 'float16', [NaN, Infinity], [2]),
  ];
  for (const elements of ['list', 'base64'] as const) {
    const body = {
      model: 'm',
      tensors: JSON.parse(JSON.stringify(tensorsJson(tensors, elements))),
    };
    const back = tensorsOf(parseAs(sessionSchema, body, 'body').tensors);
    expect(back.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual(
      tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    );
    expect(back.map((one) => [...numbersOf(one)])).toEqual(
      tensors.map((one) => [...numbersOf(one)]),
    );
  }
});

test('a size of -1 is what the bytes make of it', async () => {
  expect(rawTensor('x', 'int16', [-1, 2], Buffer.alloc(12)).shape).toEqual([3, 2]);
  expect(rawTensor('x', 'int16', [2], Buffer.alloc(4)).shape).toEqual([2]);
  for (const shape of [[-1, 4], [3], [0, -1]])
    expect(await refused(() => rawTensor('x', 'int16', shape, Buffer.alloc(12)))).toMatchObject({
      reason: 'INPUT_BYTES',
    });
});

test('a reader that has N goes on at N + 1', async () => {
  expect([parseLastEventId('41'), parseLastEventId(''), parseLastEventId(undefined)]).toEqual([
    42,
    undefined,
    undefined,
  ]);
  for (const given of ['ten', '-1', '1.5', ['1', '2']])
    expect(await refused(() => parseLastEventId(given))).toMatchObject({
      reason: 'INVALID_ARGUMENT',
    });
});
