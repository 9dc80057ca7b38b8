/** Graphs as onnxruntime-node runs them. */
import type { InferenceSession } from 'onnxruntime-node';
import type { Fetches, GraphSession, Tensors } from './graph-session';

/** A run that fails throws; ONNX Runtime need not write to stderr as well, for what callers may have sent. */
const QUIET: InferenceSession.RunOptions = { logSeverityLevel: 4 };

export class BindingSession implements GraphSession {
  readonly calledBy = 'binding';
  readonly #session: InferenceSession;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  get inputMetadata(): GraphSession['inputMetadata'] {
    return this.#session.inputMetadata;
  }

  get outputMetadata(): GraphSession['outputMetadata'] {
    return this.#session.outputMetadata;
  }

  async run(feeds: Tensors, fetches: Fetches): Promise<Tensors> {
    return await this.#session.run(feeds, fetches, QUIET);
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}
