/** What the contract says of a message's fields, as far as its bytes can be judged by it. */
import type { MessageTypeDefinition, PackageDefinition } from '@grpc/proto-loader';
import { packageDefinition } from '../proto';
import { limitOf } from './limits';
import type { FieldLimit } from './limits';

export interface FieldShape {
  readonly name: string;
  readonly repeated: boolean;
  readonly kind: 'number' | 'text' | 'bytes' | 'message';
  /** Wire type of one value. */
  readonly wireType: number;
  readonly limit: FieldLimit;
  /** Its messages are declared in the message that has them, as entries of maps are, and decoded with it. */
  readonly map: boolean;
  /** Of the messages in it, where `kind` is message. */
  readonly shape: MessageShape | undefined;
}

export interface MessageShape {
  /** With its package. */
  readonly name: string;
  readonly fields: ReadonlyMap<number, FieldShape>;
  decode(bytes: Buffer): Record<string, unknown>;
}

interface Descriptor {
  readonly name: string;
  /** Entries of maps, and other messages that only their own message knows. */
  readonly nestedType: readonly Descriptor[];
  readonly field: readonly {
    readonly name: string;
    readonly number: number;
    readonly label: string;
    readonly type: string;
    readonly typeName: string;
  }[];
}

const shapes = new Map<string, MessageShape>();

/** Of a message of loaded protos, by its name with its package. Default: of the contract. */
export function shapeOf(name: string, loaded: PackageDefinition = packageDefinition): MessageShape {
  const known = shapes.get(name);
  if (known !== undefined) return known;
  const found = loaded[name];
  if (!isMessage(found)) throw new Error(`the loaded protos have no message ${name}`);
  const decode = (bytes: Buffer): Record<string, unknown> =>
    found.deserialize(bytes) as Record<string, unknown>;
  return describe(loaded, name, found.type as Descriptor, decode);
}

function describe(
  loaded: PackageDefinition,
  name: string,
  descriptor: Descriptor,
  decode: MessageShape['decode'],
): MessageShape {
  const fields = new Map<number, FieldShape>();
  const shape: MessageShape = { name, fields, decode };
  // Before its fields: a message may hold its own kind.
  shapes.set(name, shape);
  for (const { name: field, number, label, type, typeName } of descriptor.field)
    fields.set(number, {
      name: field,
      repeated: label === 'LABEL_REPEATED',
      kind: KINDS[type] ?? 'number',
      wireType: WIRE_TYPES[type] ?? 0,
      limit: limitOf(descriptor.name, field),
      map: descriptor.nestedType.some((nested) => nested.name === typeName),
      shape: type === 'TYPE_MESSAGE' ? inner(loaded, name, descriptor, typeName) : undefined,
    });
  return shape;
}

function inner(
  loaded: PackageDefinition,
  name: string,
  { nestedType }: Descriptor,
  typeName: string,
): MessageShape {
  const entry = nestedType.find((nested) => nested.name === typeName);
  if (entry === undefined) return shapeOf(resolve(loaded, name, typeName), loaded);
  const decode = (): never => {
    throw new Error(`${name}.${typeName} is no message of its own`);
  };
  const own = `${name}.${typeName}`;
  return shapes.get(own) ?? describe(loaded, own, entry, decode);
}

function isMessage(
  entry: PackageDefinition[string] | undefined,
): entry is MessageTypeDefinition<object, object> {
  return entry !== undefined && 'serialize' in entry && 'format' in entry;
}

const KINDS: Readonly<Record<string, FieldShape['kind']>> = {
  TYPE_STRING: 'text',
  TYPE_BYTES: 'bytes',
  TYPE_MESSAGE: 'message',
};

/** Others are varints. https://protobuf.dev/programming-guides/encoding/#structure */
const WIRE_TYPES: Readonly<Record<string, number>> = {
  TYPE_STRING: 2,
  TYPE_BYTES: 2,
  TYPE_MESSAGE: 2,
  TYPE_DOUBLE: 1,
  TYPE_FIXED64: 1,
  TYPE_SFIXED64: 1,
  TYPE_FLOAT: 5,
  TYPE_FIXED32: 5,
  TYPE_SFIXED32: 5,
};

/** A type's name as the descriptor has it: relative to one of the packages around the message. */
function resolve(loaded: PackageDefinition, from: string, typeName: string): string {
  if (typeName.startsWith('.')) return typeName.slice(1);
  for (let scope = from; scope.includes('.');) {
    scope = scope.slice(0, scope.lastIndexOf('.'));
    if (loaded[`${scope}.${typeName}`] !== undefined) return `${scope}.${typeName}`;
  }
  return typeName;
}
