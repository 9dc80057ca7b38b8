import { loadProto, methodsOf } from '@cabstand/rpc';
import type { BidiMethod, UnaryMethod } from '@cabstand/rpc';
import type { GRPCInferenceServiceDefinition } from '../generated/inference/GRPCInferenceService';

/** Name of the service, as health and reflection list it. */
export const INFERENCE_SERVICE = 'inference.GRPCInferenceService';

// Integers of 64 bits are decimal text: elements of tensors keep all their digits.
const lookUp = methodsOf(loadProto(['inference/service.proto'], String), INFERENCE_SERVICE, {
  checked: true,
});

type Definition = GRPCInferenceServiceDefinition;
/** Request and response of a method: as sent and as received. */
type Messages<D> = D extends {
  readonly requestType?: unknown;
  requestSerialize: (value: infer Req) => Buffer;
  requestDeserialize: (bytes: Buffer) => infer ReqOut;
  responseSerialize: (value: infer Res) => Buffer;
  responseDeserialize: (bytes: Buffer) => infer ResOut;
}
  ? [Req, ReqOut, Res, ResOut]
  : never;

type Unary<N extends keyof Definition> =
  Messages<Definition[N]> extends [infer Req, infer ReqOut, infer Res, infer ResOut]
    ? UnaryMethod<Req, ReqOut, Res, ResOut>
    : never;
type Bidi<N extends keyof Definition> =
  Messages<Definition[N]> extends [infer Req, infer ReqOut, infer Res, infer ResOut]
    ? BidiMethod<Req, ReqOut, Res, ResOut>
    : never;

// The definition that is generated says which messages a method has.
const unary = <N extends keyof Definition & string>(name: N): Unary<N> =>
  lookUp(name, 'unary') as unknown as Unary<N>;

/** inference.GRPCInferenceService, as far as it is offered. */
export const InferenceService = {
  ServerLive: unary('ServerLive'),
  ServerReady: unary('ServerReady'),
  ModelReady: unary('ModelReady'),
  ServerMetadata: unary('ServerMetadata'),
  ModelMetadata: unary('ModelMetadata'),
  ModelInfer: unary('ModelInfer'),
  ModelStreamInfer: lookUp('ModelStreamInfer', 'bidi') as unknown as Bidi<'ModelStreamInfer'>,
  ModelConfig: unary('ModelConfig'),
  ModelStatistics: unary('ModelStatistics'),
  RepositoryIndex: unary('RepositoryIndex'),
  RepositoryModelLoad: unary('RepositoryModelLoad'),
  RepositoryModelUnload: unary('RepositoryModelUnload'),
} as const;
