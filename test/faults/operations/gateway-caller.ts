import { tensorOf } from '@cabstand/tensor';
import type { Caller, Tally } from '../callers';
import { check } from '../checker';
import type { TwoGateways } from '../gateways/callers';
import { GatewayStream } from '../gateways/stream';
import type { Script } from '../scripts';
import { Stream } from '../stream';

const MODEL = 'accumulator';
const TURNS = 3;
const RECORDS_A_TURN = 40;
const READ_MS = 10;

const SCRIPT: Script = {
  name: 'through-gateways',
  model: MODEL,
  turns: Array.from({ length: TURNS }, () => ({
    kind: 'whole' as const,
    prompt: undefined,
    tensors: [tensorOf('signal', new Float32Array(4 * RECORDS_A_TURN).fill(1))],
  })),
};

/** Durable sessions through either of two gateways, one after another, each compared with an undisturbed one. */
export async function throughGateways(
  gateways: TwoGateways,
  { sessions }: Caller,
): Promise<(tally: Tally, stop: AbortSignal) => Promise<void>> {
  const reference = await new Stream(SCRIPT).run(sessions);
  return async (tally, stop) => {
    const over = (): boolean => stop.aborted;
    for (let gateway = 0; !over(); gateway = 1 - gateway) {
      const stream = new GatewayStream(SCRIPT, gateways, {
        gateway,
        readMs: READ_MS,
        signal: stop,
      });
      const count = (): void => {
        tally.records++;
        stream.onNextRecord(count);
      };
      stream.onNextRecord(count);
      for await (const { observation, again } of stream.run()) {
        if (over()) return;
        const { defects, error } = check(observation, reference);
        if (again || error !== undefined || defects.length > 0)
          throw new Error(
            `a session through gateways failed: ${String(error)} ${JSON.stringify(defects)}\n${stream.trace.join('\n')}`,
          );
      }
    }
  };
}
