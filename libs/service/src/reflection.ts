import { EventEmitter } from 'node:events';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { methodsOf } from '@cabstand/rpc';
import type { PackageDefinition, RpcServer } from '@cabstand/rpc';

/**
 * Serves reflection v1 and v1alpha over the given definitions; `services` are listed. The calls go
 * through the server like all others: counted, limited and, unless `open`, authenticated.
 */
export function addReflection(
  server: RpcServer,
  definitions: PackageDefinition,
  services: readonly string[],
  options: { readonly open: boolean },
): void {
  const reflection = new ReflectionService(definitions, { services: [...services] });
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
