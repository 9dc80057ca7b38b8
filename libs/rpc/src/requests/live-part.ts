/** Parts of live input: the one request that comes many times a second. */
import { OrdinaryReader, ordinary, unusual } from '../ordinary';
import type { SessionStreamRequest__Output } from '../v1';

type Part = NonNullable<SessionStreamRequest__Output['input']>;

/** Tags: field number × 8 + wire type. */
const INPUT = 0x22;
const TURN = 0x08;
const PART = 0x10;
const TENSOR = 0x1a;
const LAST = 0x20;

/** Undefined where the loader has to read it, or to refuse it. Its tensors' bytes are those of `bytes`. */
export function readLivePart(bytes: Buffer): SessionStreamRequest__Output | undefined {
  if (bytes[0] !== INPUT) return undefined;
  return ordinary(() => {
    const reader = new OrdinaryReader(bytes, 1);
    if (reader.end(bytes.length) !== bytes.length) unusual();
    return { input: partOf(reader), message: 'input' };
  });
}

function partOf(reader: OrdinaryReader): Part {
  const { length } = reader.bytes;
  const part: Part = { inputs: [], turn: 0, part: 0, last: false };
  for (let newest = 0; reader.at < length;) {
    const tag = reader.tag(newest, TENSOR);
    newest = tag;
    if (tag === TURN) part.turn = reader.number();
    else if (tag === PART) part.part = reader.number();
    else if (tag === LAST) part.last = reader.number() !== 0;
    else if (tag === TENSOR) reader.tensorTo(part.inputs, length);
    else unusual();
  }
  return part;
}
