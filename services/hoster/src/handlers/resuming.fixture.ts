/** What a client brings to the hoster where it goes on. */
import type { v1 } from '@cabstand/rpc';
import type { Heard } from './harness.fixture';

/** What a client keeps: the newest checkpoint that is not ahead of the records. */
export function checkpointOf(heard: Heard): v1.Checkpoint | undefined {
  const next = (heard.records.at(-1)?.position ?? -1) + 1;
  return [
    ...heard.notices.flatMap(({ checkpoint }) => checkpoint?.checkpoint ?? []),
    ...heard.records.flatMap(({ end_of_turn: end }) => end?.checkpoint ?? []),
  ]
    .filter(({ position }) => position <= next)
    .sort((a, b) => a.position - b.position)
    .at(-1);
}

export function resumeAfter(heard: Heard, turn: number): v1.Resume {
  return {
    checkpoint: checkpointOf(heard) ?? null,
    replay: [],
    delivered_position: heard.records.at(-1)?.position ?? -1,
    turn,
  };
}
