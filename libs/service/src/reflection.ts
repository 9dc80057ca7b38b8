import { EventEmitter } from 'node:events';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { methodsOf } from '@cabstand/rpc';
import type { PackageDefinition, RpcServer } from '@cabstand/rpc';
import { FILE_DESCRIPTORS } from './generated/descriptors';

const REFLECTION = ['v1', 'v1alpha'].map((v) => `grpc.reflection.${v}.ServerReflection`);

/** What the reflection package takes a loaded proto to be; it reads nothing but the descriptors. */
const DEFINITIONS = {
  all: {
    format: 'Protocol Buffer 3 EnumDescriptorProto' as const,
    type: {},
    fileDescriptorProtos: FILE_DESCRIPTORS.map((file) => Buffer.from(file, 'base64')),
  },
};

/**
 * Serves reflection v1 and v1alpha over the contract, health and itself; `services` are listed, and
 * reflection. The descriptors are those of a compiler: the loader's own name no imports, and clients
 * refuse them (https://github.com/grpc/grpc-node/issues/2595). The calls go through the server like all others: counted, limited and, unless `open`, authenticated.
 */
export function addReflection(
  server: RpcServer,
  services: readonly string[],
  options: { readonly open: boolean },
): void {
  const reflection = new ReflectionService(DEFINITIONS, {
    services: [...services, ...REFLECTION],
  });
  reflection.addToServer({
    addService: (definition: ServiceDefinition, implementation: UntypedServiceImplementation) => {
      const [name, method] = Object.entries(definition)[0] ?? [];
      if (name === undefined || method === undefined) return;
      const service = method.path.split('/')[1] ?? '';
      const lookUp = methodsOf({ [service]: definition } as unknown as PackageDefinition, service);
      const info = lookUp<'bidi', object, object, object, object>(name, 'bidi');
      const answer = implementation[name] as unknown as (stream: ReflectionStream) => void;
      server.addService(
        { [name]: info },
        {
          [name]: async (requests, _call, out) => {
            const stream = new ReflectionStream();
            answer(stream);
            for await (const request of requests) {
              stream.emit('data', request);
              for (const response of stream.take()) await out.write(response);
            }
          },
        },
        options,
      );
    },
  });
}

/** What the reflection package sees of a call: it answers each request at once, in the same tick. */
class ReflectionStream extends EventEmitter {
  #responses: object[] = [];

  write(response: object): void {
    this.#responses.push(response);
  }

  end(): void {
    // The call ends with its requests.
  }

  take(): object[] {
    const responses = this.#responses;
    this.#responses = [];
    return responses;
  }
}
