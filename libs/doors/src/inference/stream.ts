/** ModelStreamInfer: many requests on one stream, each with an answer for each record. */
import { CabstandError } from '@cabstand/core';
import { publicError } from '@cabstand/rpc';
import type { ServerCall, StreamWriter } from '@cabstand/rpc';
import type { ModelInferRequest__Output } from '../generated/inference/ModelInferRequest';
import type { ModelStreamInferResponse } from '../generated/inference/ModelStreamInferResponse';
import { isDecoupled } from '../infer/describe';
import type { Answer, Inference } from '../infer/inference';
import type { Caller } from '../serving';
import { parseInfer } from './parse';
import { wireFailure, wireStep } from './wire';

type Request = ModelInferRequest__Output;
type Writer = StreamWriter<ModelStreamInferResponse>;

/** Requests of one stream that are worked on at once; more are not read. */
const MOST_AT_ONCE = 64;
/** Metadata with which a caller wants a failed request to end the stream with its status. */
const STATUS_WANTED = 'triton_grpc_error';

export async function streamInfer(
  inference: Inference,
  requests: AsyncIterable<Request>,
  call: ServerCall,
  out: Writer,
  caller: Caller,
): Promise<void> {
  const strict = String(call.metadata.get(STATUS_WANTED)[0]) === 'true';
  const running = new Set<Promise<void>>();
  const failed = new AbortController();
  const signal = AbortSignal.any([call.signal, failed.signal]);
  let failure: CabstandError | undefined;
  /** Settled when all requests before have had their answers. */
  let before: Promise<void> = Promise.resolve();
  try {
    for await (const request of requests) {
      const answered = new AnswerTurn(before);
      before = answered.done;
      const work = answer(inference, request, caller, signal, answered, out)
        .catch((thrown: unknown) => {
          const error = publicError(thrown);
          if (call.signal.aborted) return;
          if (strict) {
            failure ??= error;
            failed.abort(error);
            return;
          }
          return out.write(wireFailure(named(request), error));
        })
        .catch(() => undefined)
        .finally(() => {
          answered.finish();
          running.delete(work);
        });
      running.add(work);
      if (running.size >= MOST_AT_ONCE) await Promise.race(running);
      if (failure !== undefined) break;
    }
    await Promise.all(running);
  } finally {
    failed.abort(new CabstandError('CANCELLED', 'the stream has ended'));
  }
  if (failure !== undefined) throw failure;
}

/** Answers of models with one answer a step come in the order of the requests. */
class AnswerTurn {
  readonly #before: Promise<void>;
  readonly done: Promise<void>;
  #finish: () => void = () => undefined;

  constructor(before: Promise<void>) {
    this.#before = before;
    const own = new Promise<void>((resolve) => (this.#finish = resolve));
    this.done = Promise.all([before, own]).then(() => undefined);
  }

  come(): Promise<void> {
    return this.#before;
  }

  /** Nobody waits for this one. */
  finish(): void {
    this.#finish();
  }
}

/** Without the empty final answer the last one is told to be the last: each is held until the next is there. */
async function answer(
  inference: Inference,
  request: Request,
  caller: Caller,
  signal: AbortSignal,
  turn: AnswerTurn,
  out: Writer,
): Promise<void> {
  const ask = parseInfer(request);
  let held: Answer | undefined;
  let begun = false;
  for await (const step of inference.steps(ask, caller, signal)) {
    const { model } = step.kind === 'end' ? step : step.answer;
    if (!begun) {
      begun = true;
      // Those may go on for ever: nobody waits for them.
      if (isDecoupled(model)) turn.finish();
      else await turn.come();
    }
    if (step.kind === 'end') {
      const last = held ?? { model, id: ask.id, tensors: [] };
      await out.write(wireStep({ ...last, note: step.note }, true));
      return;
    }
    if (held !== undefined) await out.write(wireStep(held, false));
    if (ask.emptyFinal) await out.write(wireStep(step.answer, false));
    else held = step.answer;
  }
}

const named = ({ model_name, model_version, id }: Request) => ({
  model: model_name,
  version: model_version,
  id,
});
