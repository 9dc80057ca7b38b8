/** How large messages may be is what models are judged by, and what records are held to. */
import { Engine } from './engine.fixture';
import { MadeModel, floats } from './verify/verify.fixture';

const MIB = 1024 * 1024;

/** State of 1 MiB; a record of `floatsOut` numbers. */
function made(floatsOut: number): MadeModel {
  const value = (name: string, size: number | string) =>
    ({ name, dtype: 'float32', dims: ['b', size] }) as const;
  return new MadeModel(
    {
      inputs: [value('x', 1), value('sums', MIB / 4)],
      outputs: [value('y', 'many'), value('next', MIB / 4)],
      nodes: [
        { op: 'Add', inputs: ['x', 'sums'], outputs: ['next'] },
        { op: 'Expand', inputs: ['x', 'size'], outputs: ['y'] },
      ],
      initializers: [{ name: 'size', dtype: 'int64', shape: [2], values: [1n, BigInt(floatsOut)] }],
    },
    `
kind: stateful
graphs:
  step:
    file: m.onnx
    inputs:
      x: { from: frame, batch_axis: 0 }
      sums: { from: state, state: sums, batch_axis: 0 }
    outputs:
      y: { emit: y, batch_axis: 0 }
      next: { state: sums, batch_axis: 0 }
state: { sums: { initial: zeros, shape: [1, ${MIB / 4}] } }
inputs: { samples: { dtype: float32, shape: [n] } }
framing: { input: samples, frame: 1, hop: 1 }
`,
  );
}

test('a model whose snapshots do not fit is refused before it is verified', async () => {
  using model = made(1);
  await expect(model.load({ maxMessageBytes: MIB })).rejects.toMatchObject({
    reason: 'MODEL_FAILED',
    metadata: { state_bytes: String(MIB), limit_bytes: String(MIB) },
  });
  expect(model.stages).toEqual(['loading']);
});

test.each([
  [20, 'error'],
  [40, 'completed'],
])('a record of 38 MiB where messages have %i MiB: %s', async (mib, reason) => {
  using model = made(9.5 * MIB);
  await using engine = await Engine.start();
  await engine.load(model.folder, { maxMessageBytes: mib * MIB });
  engine.open(1);
  engine.turn(1, [floats('samples', [1])]);
  const { end } = await engine.ended(1);
  expect(end.reason).toBe(reason);
  if (end.reason === 'error') expect(end.error.reason).toBe('MESSAGE_TOO_LARGE');
  expect(engine.chunks(1)).toHaveLength(reason === 'completed' ? 1 : 0);
});
