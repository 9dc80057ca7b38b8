import { StringDecoder } from 'node:string_decoder';

/** A line that is longer comes in pieces: services write at most 4 KiB, and others may write anything. */
const LONGEST_LINE = 64 * 1024;

/** The lines of a stream of bytes, without their ends. */
export async function* linesOf(stream: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const part of stream) {
    const lines = (rest + (typeof part === 'string' ? part : decoder.write(part))).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
    for (; rest.length > LONGEST_LINE; rest = rest.slice(LONGEST_LINE))
      yield rest.slice(0, LONGEST_LINE);
  }
  rest += decoder.end();
  if (rest !== '') yield rest;
}
