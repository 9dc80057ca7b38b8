import type { Cursor } from './cursor';

/** TensorProto.DataLocation.EXTERNAL. */
const EXTERNAL = 1;

/**
 * TensorProto without its elements: name = 8, external_data = 13, data_location = 14. Answers the name and
 * adds the place of external data to `externalFiles`.
 */
export async function readTensor(
  cursor: Cursor,
  length: number,
  externalFiles: Set<string>,
): Promise<string> {
  let name = '';
  const data: { location?: string; isExternal?: boolean } = {};
  await cursor.message(length, {
    varints: {
      14: (value) => {
        data.isExternal = value === EXTERNAL;
      },
    },
    bytes: {
      8: async (size) => {
        name = await cursor.text(size);
      },
      13: async (size) => {
        const [key, value] = await readEntry(cursor, size);
        if (key === 'location') data.location = value;
      },
    },
  });
  if (data.isExternal === true && data.location !== undefined) externalFiles.add(data.location);
  return name;
}

/** StringStringEntryProto: key = 1, value = 2, of which values over 64 KiB are cut. */
export async function readEntry(cursor: Cursor, length: number): Promise<[string, string]> {
  let key = '';
  let value = '';
  await cursor.message(length, {
    bytes: {
      1: async (size) => {
        key = await cursor.text(size);
      },
      2: async (size) => {
        value = await cursor.excerpt(size);
      },
    },
  });
  return [key, value];
}
