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
  readonly field: readonly {
    readonly name: string;
    readonly number: number;
    readonly label: string;
    readonly type: string;
    readonly typeName: string;
  }[];
}

const shapes = new Map<string, MessageShape>();

/** Of a message of the contract, by its name with its package. */
export function shapeOf(name: string): MessageShape {
  const known = shapes.get(name);
  if (known !== undefined) return known;
  const found = packageDefinition[name];
  if (!isMessage(found)) throw new Error(`the contract has no message ${name}`);
  const fields = new Map<number, FieldShape>();
  const shape: MessageShape = {
    name,
    fields,
    decode: (bytes) => found.deserialize(bytes) as Record<string, unknown>,
  };
  // Before its fields: a message may hold its own kind.
  shapes.set(name, shape);
  const descriptor = found.type as Descriptor;
  for (const { name: field, number, label, type, typeName } of descriptor.field)
    fields.set(number, {
      name: field,
      repeated: label === 'LABEL_REPEATED',
      kind: KINDS[type] ?? 'number',
      wireType: WIRE_TYPES[type] ?? 0,
      limit: limitOf(descriptor.name, field),
      shape: type === 'TYPE_MESSAGE' ? shapeOf(resolve(name, typeName)) : undefined,
    });
  return shape;
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
function resolve(from: string, typeName: string): string {
  if (typeName.startsWith('.')) return typeName.slice(1);
  for (let scope = from; scope.includes('.');) {
    scope = scope.slice(0, scope.lastIndexOf('.'));
    if (packageDefinition[`${scope}.${typeName}`] !== undefined) return `${scope}.${typeName}`;
  }
  return typeName;
}
