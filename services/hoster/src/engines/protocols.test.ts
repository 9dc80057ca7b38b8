/** Engines that do without the project's codec, of both protocols that a hoster speaks: faulty-engine.fixture.mjs. */
import path from 'node:path';
import { CabstandError, systemClock } from '@cabstand/core';
import type { StepItem } from '@cabstand/engine';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { EngineProcess } from './engine-process';
import type { EngineLog } from './observer';
import { resolveEngineOptions } from './options';
import { SocketFolder } from './socket-folder';

const FIXTURE = path.join(__dirname, 'faulty-engine.fixture.mjs');
const silent = (): void => undefined;
const log: EngineLog = { debug: silent, info: silent, warn: silent, error: silent };

/** Runs a turn with these live parts; resolves with its end. */
async function runTurn(engine: EngineProcess, parts: readonly Tensor[][]): Promise<StepItem> {
  const ended = new Promise<StepItem>((resolve, reject) => {
    engine.onFrame = (frame) => {
      const end = frame.type === 'STEP' && frame.items.find(({ kind }) => kind === 'end');
      if (end) resolve(end);
    };
    void engine.exited.then(({ error }) => reject(error));
  });
  const { outbox } = engine;
  const at = { sequence: 1, turn: 0 };
  outbox.sendInput({ type: 'TURN', ...at, prompt: '', parameters: {}, inputs: [], live: true });
  parts.forEach((inputs, part) => {
    outbox.sendInput({ type: 'INPUT', ...at, part, inputs, last: part === parts.length - 1 });
  });
  return await ended;
}

test.each(['adds-json', 'adds-packed'])(
  'live input reaches an engine in the form of its protocol: %s',
  async (fault) => {
    const folder = await SocketFolder.create();
    const options = resolveEngineOptions({
      command: [process.execPath, FIXTURE, fault],
      helloTimeoutMs: 10_000,
    });
    const deps = { options, folder, clock: systemClock, log };
    const engine = await EngineProcess.start(deps, new AbortController().signal);
    try {
      const samples = (...values: number[]) => tensorOf('x', Int16Array.from(values));
      // Too large to be copied into memory that is used again.
      const large = tensorOf('a longer name', new Int16Array(30_000).fill(1));
      const parts = [[samples(1, -2, 40)], [], [samples(), large], [samples(500)]];
      const end = { reason: 'completed', steps: 30_539 };
      await expect(runTurn(engine, parts)).resolves.toMatchObject({ kind: 'end', end });
    } finally {
      engine.kill('load', new CabstandError('DRAINING', 'test over'));
      await engine.exited;
      folder.remove();
    }
  },
);
