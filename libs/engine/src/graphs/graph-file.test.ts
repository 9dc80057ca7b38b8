/** What @cabstand/model reads from a file is what ONNX Runtime says of it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readGraph } from '@cabstand/model';
import { BUNDLED, OWN, SHARED } from '../engine.fixture';
import { createSession } from './session';

const FILES = [BUNDLED, OWN, SHARED].flatMap((repository) =>
  readdirSync(repository, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.onnx'))
    .map((file) => [file, join(repository, file)] as const),
);

test('there are files to compare', () => {
  expect(FILES.length).toBeGreaterThanOrEqual(12);
});

test.each(FILES)('%s', async (_, file) => {
  const session = await createSession(file, { provider: 'cpu', threads: 1 });
  const { inputs, outputs } = await readGraph(file);
  // ONNX Runtime gives '' for a free dimension without a name, and [] for an unknown rank.
  const metadata = ({ name, kind, dtype, dims = [] }: (typeof inputs)[number]): object =>
    kind === 'tensor'
      ? { name, isTensor: true, type: dtype, shape: dims.map((size) => size ?? '') }
      : { name, isTensor: false };
  expect(inputs.map(metadata)).toEqual(session.inputMetadata);
  // Of outputs ONNX Runtime also tells what it inferred, where the file has a name for a size.
  const inferred = session.outputMetadata.map((output, index) => {
    if (!output.isTensor) return output;
    const dims = outputs[index]?.dims ?? [];
    return { ...output, shape: output.shape.map((size, axis) => namedIn(dims[axis]) ?? size) };
  });
  expect(outputs.map(metadata)).toEqual(inferred);
  await session.release();
});

function namedIn(size: number | string | undefined): string | undefined {
  return typeof size === 'string' ? size : undefined;
}
