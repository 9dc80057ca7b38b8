import type { Random } from '../faults/random';
import { fieldsOf, numbersOf } from './schema';
import type { FieldSchema } from './schema';
import type { Fields, Value } from './wire';

/** Integers at which something ends: signs, words, what a double holds exactly. */
const INTEGERS: readonly bigint[] = [
  ...[0n, 1n, -1n, 2n, 7n, 64n, 255n, 65_536n],
  ...[2n ** 31n - 1n, 2n ** 31n, -(2n ** 31n), 2n ** 32n],
  ...[2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n)],
  ...[2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n],
];
const NUMBERS: readonly number[] = [
  ...[0, -0, 1, -1, 0.5, NaN, Infinity, -Infinity, 1e308, 5e-324, 2 ** 53],
];

const LONG = 5000;
const HUGE = 1_048_576;
/**
 * Texts on which parsers trip. None of them names a place on this machine, which an answer must not name
 * either, nor a model, which an administrator's call might take away.
 */
const STRINGS: readonly string[] = [
  ...['', ' ', 'a', '\0', '\u{1f695}', '\ufeff', 'a\nb', '%s%n', '../..', 'anonymous-x', '-1'],
  ...['NaN', 'null', '{}', '[]', '{"a":', '{"__proto__":{"x":1}}', '{"temperature":1e999}'],
  ...['__proto__', 'constructor', 'toString', 'sha256:00'],
  ...['127.0.0.1:1', '[::1]:1', 'x'.repeat(64), 'x'.repeat(65), 'x'.repeat(LONG)],
];
const DEPTH = 4;
/** How many a repeated field gets where it is mutated to many. */
const MANY = 1000;

/** A text; very seldom one of a megabyte. */
function anyString(random: Random): string | Buffer {
  const kind = random.int(0, 199);
  if (kind === 0) return 'y'.repeat(HUGE);
  // Bytes that are no UTF-8.
  if (kind < 6) return bytes(random, random.int(1, 12));
  return random.pick(STRINGS);
}

/** So many random bytes. */
export function bytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.int(0, 255)));
}

/** A value that a field may hold by its type; whether it means anything is another matter. */
export function anyValue(random: Random, field: FieldSchema, depth = 0): Value {
  if (!field.repeated) return single(random, field, depth);
  const many = depth === 0 && random.int(0, 9) === 0;
  const length = many ? MANY : random.int(0, 3);
  if (!many) return Array.from({ length }, () => single(random, field, depth + 1));
  let one = single(random, field, DEPTH);
  // Many megabytes would tell of nothing but the fuzzer's own memory.
  if (typeof one === 'string' && one.length > LONG) one = 'y';
  return Array.from({ length }, () => one);
}

function single(random: Random, field: FieldSchema, depth: number): Value {
  switch (field.type) {
    case 'TYPE_MESSAGE':
      return depth >= DEPTH ? {} : anyMessage(random, field.of, depth + 1);
    case 'TYPE_STRING':
      return anyString(random);
    case 'TYPE_BYTES':
      return bytes(random, random.pick([0, 1, 4, 16, 64, 2048]));
    case 'TYPE_BOOL':
      return random.int(0, 1) === 1;
    case 'TYPE_ENUM':
      return random.pick([...numbersOf(field.of), 99, -1, 2 ** 31 - 1]);
    case 'TYPE_DOUBLE':
    case 'TYPE_FLOAT':
      return random.pick(NUMBERS);
    default:
      return random.pick(INTEGERS);
  }
}

/** A message of random fields with random values: knows nothing of what they mean. */
export function anyMessage(random: Random, message: string, depth = 0): Fields {
  const fields: Record<string, Value> = {};
  for (const field of fieldsOf(message))
    if (random.int(0, 1) === 1) fields[field.name] = anyValue(random, field, depth);
  return fields;
}
