/** Entry of the process that `checkModel` starts: loads and verifies one model, and says what came of it. */
import './no-telemetry';
import { CabstandError } from '@cabstand/core';
import type { CheckAnswer, CheckRequest } from './check';
import { loadModel } from './load';
import { replay } from './verify/replay';

function say(answer: CheckAnswer): void {
  process.send?.(answer);
}

async function check(request: CheckRequest): Promise<CheckAnswer> {
  const { audit, ...asked } = request;
  const { maxMessageBytes } = asked;
  const stage = (text: string): void => say({ kind: 'progress', stage: text });
  const { loaded, model, sessions } = await loadModel(
    {
      type: 'LOAD',
      ...asked,
      ...{
        nice: 0,
        verify: asked.known === undefined,
        maxBatch: Number.MAX_SAFE_INTEGER,
        maxSequences: 1,
      },
    },
    stage,
  );
  if (audit.length === 0) return { kind: 'loaded', loaded };
  stage('running recorded turns together and alone');
  return {
    kind: 'loaded',
    loaded,
    audit: await replay(model, sessions, { ...loaded, maxMessageBytes }, audit),
  };
}

process.once('message', (request: CheckRequest) => {
  check(request).then(say, (error: unknown) => {
    const { reason, message, metadata } = CabstandError.from(error, 'MODEL_FAILED');
    say({ kind: 'failed', reason, message, metadata });
  });
});
process.once('disconnect', () => process.exit(0));
