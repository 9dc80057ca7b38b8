import type { Random } from '../faults/random';
import { anyValue, bytes } from './generate';
import { fieldsOf } from './schema';
import type { Fields, Value } from './wire';

const MANY = 1000;
const UNKNOWN_FIELDS = [17, 99, 2000, 536_870_911];

/** Changes one field of a message, somewhere in it, so that the rest still means what it did. */
export function mutate(random: Random, message: string, fields: Fields): Fields {
  const schema = fieldsOf(message);
  if (schema.length === 0 || random.int(0, 19) === 0)
    return { ...fields, [`#${String(random.pick(UNKNOWN_FIELDS))}`]: bytes(random, 5) };
  // Fields that are there matter more often than others.
  const present = schema.filter(({ name }) => fields[name] !== undefined);
  const field = random.pick(present.length > 0 && random.int(0, 3) > 0 ? present : schema);
  const value = fields[field.name];
  const inner = (one: Value): Value =>
    isMessage(one)
      ? mutate(random, field.of, one)
      : anyValue(random, { ...field, repeated: false });
  switch (random.weighted({ inside: 5, replace: 4, drop: 2, many: 1 })) {
    case 'inside':
      if (Array.isArray(value) && value.length > 0) {
        const list = value as readonly Value[];
        const at = random.int(0, list.length - 1);
        return { ...fields, [field.name]: list.map((one, i) => (i === at ? inner(one) : one)) };
      }
      if (value !== undefined && isMessage(value)) return { ...fields, [field.name]: inner(value) };
      return { ...fields, [field.name]: anyValue(random, field) };
    case 'drop':
      return { ...fields, [field.name]: undefined };
    case 'many':
      if (field.repeated && Array.isArray(value) && value.length > 0) {
        const one = random.pick(value as readonly Value[]);
        return { ...fields, [field.name]: Array.from({ length: MANY }, () => one) };
      }
      return { ...fields, [field.name]: anyValue(random, field) };
    case 'replace':
      return { ...fields, [field.name]: anyValue(random, field) };
  }
}

function isMessage(value: Value): value is Fields {
  return typeof value === 'object' && !Buffer.isBuffer(value) && !Array.isArray(value);
}

/** Damages a message on the wire, where no generator of messages reaches. */
export function damage(random: Random, message: Buffer, other: Buffer): Buffer {
  switch (random.weighted({ flip: 4, cut: 3, insert: 2, join: 1, length: 1, noise: 1 })) {
    case 'flip': {
      const damaged = Buffer.from(message);
      for (let i = random.int(1, 4); i > 0 && damaged.length > 0; i--) {
        const at = random.int(0, damaged.length - 1);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << random.int(0, 7));
      }
      return damaged;
    }
    case 'cut':
      return message.subarray(0, random.int(0, Math.max(0, message.length - 1)));
    case 'insert': {
      const at = random.int(0, message.length);
      const between = bytes(random, random.int(1, 8));
      return Buffer.concat([message.subarray(0, at), between, message.subarray(at)]);
    }
    case 'join':
      return Buffer.concat([message, other]);
    case 'length':
      // A field that claims 2 GiB.
      return Buffer.concat([message, Buffer.from('0affffffff07', 'hex')]);
    case 'noise':
      return bytes(random, random.int(0, 64));
  }
}
