import fc from 'fast-check';
import { DTYPES } from './dtype';
import type { DType } from './dtype';
import { elementCount } from './tensor';
import type { Tensor } from './tensor';

/** Scalars, and shapes with sizes of 0 among them. */
const anyShape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });

/** Tensors of every dtype, their bytes at any offset: what comes from the network is seldom aligned. */
export const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    name: fc.string(),
    dtype: fc.constantFrom(...(Object.keys(DTYPES) as DType[])),
    shape: anyShape,
    offset: fc.integer({ min: 0, max: 9 }),
  })
  .chain(({ name, dtype, shape, offset }): fc.Arbitrary<Tensor> => {
    const count = elementCount(shape);
    if (dtype === 'string')
      return fc
        .array(fc.string({ unit: 'binary' }), { minLength: count, maxLength: count })
        .map((strings) => ({ name, dtype, shape, data: new Uint8Array(0), strings }));
    const length = offset + count * DTYPES[dtype].bytes;
    return fc
      .uint8Array({ minLength: length, maxLength: length, ...(dtype === 'bool' ? { max: 1 } : {}) })
      .map((bytes) => ({ name, dtype, shape, data: bytes.subarray(offset) }));
  });
