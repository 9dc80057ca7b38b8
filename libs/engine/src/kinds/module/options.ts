/** What a module's manifest and LOAD ask of its runtime. */
import type { Manifest, ModuleProgram } from '@cabstand/model';
import { DEFAULT_MESSAGE_BYTES } from '../../frames/limits';
import type { LoadFrame } from '../../frames/types';
import { describeRuntime } from '../../graphs/onnx-runtime';
import { snapshotRoom } from '../../snapshot/limit';
import type { ModuleOptions } from './module-runtime';

export function moduleOptions(
  frame: LoadFrame,
  manifest: Manifest,
  program: ModuleProgram,
): ModuleOptions {
  const { provider, threads, maxSequences, maxMessageBytes = DEFAULT_MESSAGE_BYTES } = frame;
  const { survival, replayCheck, outputs, stopGraceSeconds, silentSeconds, heapMb } = program;
  const { sessions, digest, parameters } = manifest;
  return {
    thread: {
      file: program.file,
      folder: program.folder,
      config: program.config,
      provider,
      threads,
      messageBytes: maxMessageBytes,
      parameters,
      outputs,
      survival,
      replayCheck,
      messages: sessions?.messages ?? {},
      limits: {
        commandsWaiting: sessions?.commandsWaiting ?? 0,
        messageBytes: program.messageBytes,
        recordValueBytes: program.recordValueBytes,
        commandBytes: program.commandBytes,
        resultBytes: program.resultBytes,
        uncommittedRecords: program.uncommittedRecords,
        uncommittedBytes: program.uncommittedBytes,
        // One that no message holds is of no use.
        stateBytes: Math.min(program.stateBytes, snapshotRoom(maxMessageBytes)),
      },
      digest,
    },
    maxSequences,
    exclusive: sessions?.exclusive === true,
    stopGraceSeconds,
    silentSeconds,
    heapMb,
    loaded: {
      type: 'LOADED',
      provider,
      batchClass: 'unbatched',
      maxBatch: 1,
      runtime: describeRuntime(),
      goldenError: 0,
      reference: 'none',
      unbatchedBecause: "sessions run in their author's code, each by itself",
      notes: [],
      // Known only to the author.
      stateBytesPerSequence: 0,
      verifySeconds: 0,
      outputs,
    },
  };
}
