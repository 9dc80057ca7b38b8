/**
 * JSON of a file. Its error says where it is wrong and nothing of what stands there, which may be told to
 * people who may not read the file.
 */
export function parseJson(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text);
  } catch (cause) {
    const position = /position (\d+)/.exec(cause instanceof Error ? cause.message : '')?.[1];
    const where = position === undefined ? 'it is not JSON' : `not JSON at position ${position}`;
    throw new Error(where, { cause });
  }
}
