import type { Chunk, Session, TurnResult } from '@cabstand/client';
import type { Tensor } from '@cabstand/tensor';
import type { TurnSource } from './media/turns';
import type { OutputRenderer } from './render/output';

export interface RunTurnOptions {
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
  /** Told of all tensors that are sent. */
  readonly sent?: (tensors: readonly Tensor[]) => void;
}

/** Runs one turn and writes what comes of it, as it comes. What was begun is finished on an error too. */
export async function runTurn(
  session: Session,
  source: TurnSource,
  renderer: OutputRenderer,
  write: (text: string) => Promise<void>,
  options: RunTurnOptions,
): Promise<TurnResult> {
  let result: TurnResult | undefined;
  const { sent, ...turnOptions } = options;
  if (source.kind === 'whole') sent?.(source.tensors);
  try {
    result =
      source.kind === 'live'
        ? await runLive(session, source, renderer, write, options)
        : await drainChunks(
            session.runProtocolTask(source.prompt, source.tensors, turnOptions),
            renderer,
            write,
          );
    return result;
  } finally {
    await write(
      renderer.finish(result === undefined ? undefined : { ...result, reason: result.reason }),
    );
  }
}

async function runLive(
  session: Session,
  { audio }: Extract<TurnSource, { kind: 'live' }>,
  renderer: OutputRenderer,
  write: (text: string) => Promise<void>,
  options: RunTurnOptions,
): Promise<TurnResult> {
  const { sent, ...turnOptions } = options;
  const turn = session.live(turnOptions);
  const feed = async (): Promise<void> => {
    // Waiting for room at each part is what keeps a long file out of memory.
    for await (const part of audio.parts) {
      sent?.([part]);
      await turn.write([part]);
    }
    await turn.end();
  };
  let input: unknown;
  const feeding = feed().catch(async (error: unknown) => {
    input = error;
    // The turn cannot be completed without its input.
    await turn.return();
  });
  // A pipe that is silent would be read forever after the turn has failed or was cancelled.
  const stop = (): void => void audio.close();
  options.signal.addEventListener('abort', stop, { once: true });
  try {
    return await drainChunks(turn, renderer, write);
  } catch (error) {
    // What is wrong with the input says more than the turn that it ended.
    if (input !== undefined && !options.signal.aborted) throw input as Error;
    throw error;
  } finally {
    options.signal.removeEventListener('abort', stop);
    await audio.close();
    await feeding;
  }
}

async function drainChunks(
  chunks: AsyncIterator<Chunk, TurnResult, undefined>,
  renderer: OutputRenderer,
  write: (text: string) => Promise<void>,
): Promise<TurnResult> {
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) return next.value;
    const { index, position, turn, text, tensors } = next.value;
    await write(renderer.chunk({ index, position, turn, text, outputs: tensors }));
  }
}
