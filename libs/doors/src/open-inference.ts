/** The Open Inference Protocol at a service: over gRPC beside its own protocol, and over HTTP where that is configured. */
import type { Authorizer } from '@cabstand/rpc';
import { serveHttp } from '@cabstand/service';
import type { ServeConfig, ServiceContext } from '@cabstand/service';
import { Inference } from './infer/inference';
import { InferenceHttpServer } from './inference-http/server';
import type { Serving } from './serving';

/** What `inferenceSection` of @cabstand/service declares. */
interface InferenceConfig extends ServeConfig {
  readonly inference: {
    readonly http_listen?: string | undefined;
    readonly sequence_idle_seconds: number;
  };
}

/** One for both ways: a sequence that began over gRPC may go on over HTTP. */
export function openInference(
  { config, closers }: ServiceContext<InferenceConfig>,
  serving: Serving,
): Inference {
  const inference = new Inference(serving, {
    maxAnswerBytes: config.rpc.max_message_bytes,
    sequenceIdleMs: Math.ceil(config.inference.sequence_idle_seconds * 1000),
  });
  closers.add('sequences', 100, () => {
    inference.stop();
    return Promise.resolve();
  });
  return inference;
}

/** Throws ADDRESS_IN_USE and CONFIG_INVALID. */
export async function serveInferenceHttp(
  context: ServiceContext<InferenceConfig>,
  inference: Inference,
  authorizer: Authorizer,
): Promise<void> {
  const { http_listen: listen } = context.config.inference;
  if (listen === undefined) return;
  await serveHttp(
    context,
    'open inference over HTTP',
    listen,
    (parts) => new InferenceHttpServer({ inference, authorizer, ...parts }),
  );
}
