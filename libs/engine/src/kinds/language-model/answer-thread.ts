/** The other side of a `ThreadQueue`: answers what comes to this thread, one question after another. */
import { parentPort } from 'node:worker_threads';
import { CabstandError } from '@cabstand/core';
import { READY } from './thread-queue';
import type { ThreadAnswer, ThreadQuestion } from './thread-queue';

/**
 * @param made what answers, once its files are read; where that fails, every question fails like it
 */
export function answerQuestions(made: Promise<(asked: never) => unknown>): void {
  const answerOf = async ({ id, asked }: ThreadQuestion<never>): Promise<ThreadAnswer<unknown>> => {
    try {
      return { id, told: await (await made)(asked) };
    } catch (thrown) {
      const { reason, message, metadata } = CabstandError.from(thrown);
      return { id, error: { reason, message, metadata: { ...metadata } } };
    }
  };
  parentPort?.on('message', (question: ThreadQuestion<never>) => {
    void answerOf(question).then((answer) => parentPort?.postMessage(answer));
  });
  void made.then(
    () => parentPort?.postMessage(READY),
    () => undefined,
  );
}
