import { healthDefinition, packageDefinition } from '@cabstand/rpc';

/** A field of a message, as the contract declares it. */
export interface FieldSchema {
  readonly name: string;
  readonly number: number;
  readonly repeated: boolean;
  /** `TYPE_INT64`, `TYPE_MESSAGE` and so on, as in google.protobuf.FieldDescriptorProto. */
  readonly type: string;
  /** Full name of the message or enum that it holds; empty for others. */
  readonly of: string;
}

/** What loaded protos hold of a message or enum. */
interface LoadedType {
  readonly field?: readonly {
    readonly name: string;
    readonly number: number;
    readonly label: string;
    readonly type: string;
    readonly typeName: string;
  }[];
  readonly value?: readonly { readonly number: number }[];
}

const REFLECTION_REQUEST = 'grpc.reflection.v1.ServerReflectionRequest';

/** Messages that are in none of the loaded files: https://github.com/grpc/grpc/blob/master/src/proto/grpc/reflection/v1/reflection.proto */
const FURTHER: Readonly<Record<string, readonly FieldSchema[]>> = {
  [REFLECTION_REQUEST]: [
    text('host', 1),
    text('file_by_filename', 3),
    text('file_containing_symbol', 4),
    {
      ...text('file_containing_extension', 5),
      type: 'TYPE_MESSAGE',
      of: 'grpc.reflection.v1.ExtensionRequest',
    },
    text('all_extension_numbers_of_type', 6),
    text('list_services', 7),
  ],
  'grpc.reflection.v1.ExtensionRequest': [
    text('containing_type', 1),
    { ...text('extension_number', 2), type: 'TYPE_INT32' },
  ],
};

function text(name: string, number: number): FieldSchema {
  return { name, number, repeated: false, type: 'TYPE_STRING', of: '' };
}

const loaded = { ...packageDefinition, ...healthDefinition };

function typeOf(name: string): LoadedType | undefined {
  const found = loaded[name];
  // The loader knows descriptors only as objects.
  return found !== undefined && 'type' in found ? (found.type as LoadedType) : undefined;
}

/** Loaded descriptors name types relative to their package. */
function resolve(name: string): string {
  const short = name.replace(/^\./, '');
  for (const full of [short, `cabstand.v1.${short}`, `google.protobuf.${short}`])
    if (typeOf(full) !== undefined) return full;
  throw new Error(`the contract has no type ${name}`);
}

const known = new Map<string, readonly FieldSchema[]>(Object.entries(FURTHER));

/** The fields of a message by its full name, `cabstand.v1.Open`. */
export function fieldsOf(message: string): readonly FieldSchema[] {
  const before = known.get(message);
  if (before !== undefined) return before;
  const fields = (typeOf(message)?.field ?? []).map(({ name, number, label, type, typeName }) => ({
    ...{ name, number, type, repeated: label === 'LABEL_REPEATED' },
    of: typeName === '' ? '' : resolve(typeName),
  }));
  known.set(message, fields);
  return fields;
}

/** The numbers that an enum has. */
export function numbersOf(name: string): readonly number[] {
  return (typeOf(name)?.value ?? []).map(({ number }) => number);
}

/** A method of a service, and what it takes. */
export interface MethodSchema {
  readonly path: string;
  readonly name: string;
  /** Full name of the request's message. */
  readonly request: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

function methodsOf(service: string): MethodSchema[] {
  const found = loaded[service];
  if (found === undefined || 'format' in found) throw new Error(`no service ${service}`);
  return Object.entries(found).map(([name, method]) => ({
    ...{ name, path: method.path },
    request: resolve(
      (method.requestType.type as { readonly name: string }).name.replace(
        /^Health/,
        'grpc.health.v1.Health',
      ),
    ),
    requestStream: method.requestStream,
    responseStream: method.responseStream,
  }));
}

export const ROUTER_METHODS = methodsOf('cabstand.v1.RouterService');
export const HOSTER_METHODS = methodsOf('cabstand.v1.HosterService');

/** What both services serve beside their own: health and reflection. */
export const COMMON_METHODS: readonly MethodSchema[] = [
  ...methodsOf('grpc.health.v1.Health'),
  ...['v1', 'v1alpha'].map((version) => ({
    name: 'ServerReflectionInfo',
    path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    request: REFLECTION_REQUEST,
    requestStream: true,
    responseStream: true,
  })),
];
