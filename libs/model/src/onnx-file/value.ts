/** ValueInfoProto, TypeProto and TensorShapeProto: what goes into a graph and comes out. */
import type { Cursor } from './cursor';
import { elementType } from './element-types';
import type { GraphValue } from './types';

type ValueType = Pick<GraphValue, 'kind' | 'dtype' | 'dims'>;

const UNKNOWN: ValueType = { kind: 'unknown', dtype: 'undefined', dims: undefined };

/** ValueInfoProto: name = 1, type = 2. */
export async function readValue(cursor: Cursor, length: number): Promise<GraphValue> {
  cursor.keep();
  let name = '';
  let type = UNKNOWN;
  await cursor.message(length, {
    bytes: {
      1: async (size) => {
        name = await cursor.text(size);
      },
      2: async (size) => {
        type = await readType(cursor, size);
      },
    },
  });
  return { name, ...type };
}

/**
 * TypeProto: tensor_type = 1, sequence_type = 4 and optional_type = 9 (each with elem_type = 1), map_type = 5
 * (value_type = 2), sparse_tensor_type = 8.
 */
async function readType(cursor: Cursor, length: number): Promise<ValueType> {
  let type = UNKNOWN;
  const tensor = (kind: 'tensor' | 'sparse') => async (size: number) => {
    type = { kind, ...(await readTensorType(cursor, size)) };
  };
  const around = (kind: 'sequence' | 'map' | 'optional', field: number) => async (size: number) => {
    let within = UNKNOWN;
    await cursor.message(size, {
      bytes: {
        [field]: async (inner) => {
          within = await readType(cursor, inner);
        },
      },
    });
    type = { ...within, kind };
  };
  await cursor.message(length, {
    bytes: {
      1: tensor('tensor'),
      4: around('sequence', 1),
      5: around('map', 2),
      8: tensor('sparse'),
      9: around('optional', 1),
    },
  });
  return type;
}

/** TypeProto.Tensor and TypeProto.SparseTensor: elem_type = 1, shape = 2 (TensorShapeProto: dim = 1). */
async function readTensorType(
  cursor: Cursor,
  length: number,
): Promise<Pick<GraphValue, 'dtype' | 'dims'>> {
  let dtype = elementType(0);
  let dims: (number | string | undefined)[] | undefined;
  await cursor.message(length, {
    varints: {
      1: (value) => {
        dtype = elementType(value);
      },
    },
    bytes: {
      2: async (size) => {
        const found: typeof dims = [];
        await cursor.message(size, {
          bytes: {
            1: async (inner) => {
              found.push(await readDimension(cursor, inner));
            },
          },
        });
        dims = found;
      },
    },
  });
  return { dtype, dims };
}

/** TensorShapeProto.Dimension: dim_value = 1, dim_param = 2, of which one is there or none. */
async function readDimension(cursor: Cursor, length: number): Promise<number | string | undefined> {
  cursor.keep();
  let dimension: number | string | undefined;
  await cursor.message(length, {
    varints: {
      1: (value) => {
        // Some exporters write -1 for a free dimension; ONNX Runtime reads it so.
        dimension = value < 0 ? undefined : value;
      },
    },
    bytes: {
      2: async (size) => {
        const name = await cursor.text(size);
        dimension = name === '' ? undefined : name;
      },
    },
  });
  return dimension;
}
