/** What is kept of one turn. */
import type { StepWriter } from '../../output/step-writer';
import type { SessionFlags } from './flags';
import { PartInbox } from './inbox';
import type { ThreadData, Turn } from './messages';
import { Records } from './records';
import { ReplayLog } from './replay';
import type { Saved } from './saved';

export interface Books {
  readonly records: Records;
  readonly replay: ReplayLog;
  readonly parts: PartInbox;
}

/** @param saved where it begins */
export function booksOf(
  sequence: number,
  turn: Turn,
  saved: Pick<Saved, 'records' | 'chain' | 'parts' | 'inputEnded'>,
  host: {
    readonly out: StepWriter;
    readonly data: Pick<ThreadData, 'survival' | 'replayCheck' | 'limits'>;
  },
  flags: SessionFlags,
): Books {
  const { out, data } = host;
  const { survival, replayCheck, limits } = data;
  const { uncommittedRecords, uncommittedBytes } = limits;
  const { records, chain } = saved;
  return {
    records: new Records({
      ...{ sequence, turn: turn.number, out, survival, replayCheck },
      ...{ uncommittedRecords, uncommittedBytes, records, chain, replay: turn.replay },
      spend: (spent, bytes) => flags.spend(spent, bytes),
    }),
    replay: new ReplayLog(turn.replay),
    parts: new PartInbox(saved.parts, saved.inputEnded),
  };
}
