/**
 * protobufjs compiles the codec of a message type at its first use, half a millisecond each. The types
 * that a failure needs would be compiled while a stream waits; here it is done before.
 */
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { packageDefinition } from './proto';

/** What is left to compile; shared by all servers and clients of the process. */
const cold = Object.values(packageDefinition).filter(
  (entry): entry is MessageTypeDefinition<object, object> => 'serialize' in entry,
);

/** Compiles all codecs of the contract now: about 35 ms, once. */
export function warmCodecs(): void {
  for (let type = cold.pop(); type !== undefined; type = cold.pop()) compile(type);
}

/** Compiles them one at a time between whatever else the process does. */
export function warmCodecsByAndBy(): void {
  const type = cold.pop();
  if (type === undefined) return;
  compile(type);
  setImmediate(warmCodecsByAndBy);
}

function compile(type: MessageTypeDefinition<object, object>): void {
  type.deserialize(type.serialize({}));
}
