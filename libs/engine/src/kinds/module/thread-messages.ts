/**
 * Frames as the author's thread is told them. Bytes are copied: cloning a view would clone all of the memory
 * that it is a view of.
 */
import type { Tensor } from '@cabstand/tensor';
import type { CommandFrame } from '../../frames/module-frames';
import type { InputFrame, OpenFrame, TurnFrame } from '../../frames/types';
import type { ToThread, Turn } from './messages';

export function openOf(frame: OpenFrame, place: number): ToThread {
  const { sequence, restore, seed = 0, session = '', snapshots = false } = frame;
  const opened = { kind: 'open', sequence, place, seed, session, snapshots } as const;
  return restore === undefined ? opened : { ...opened, restore: Uint8Array.from(restore) };
}

export function turnOf(frame: TurnFrame): ToThread {
  const { sequence, turn: number, prompt, parameters, live, continued = false, replay } = frame;
  const given = { number, prompt, parameters, inputs: copies(frame.inputs), live, continued };
  const turn: Turn = replay === undefined ? given : { ...given, replay };
  return { kind: 'turn', sequence, turn };
}

export function partOf({ sequence, turn, part: number, inputs, last }: InputFrame): ToThread {
  return { kind: 'part', sequence, turn, part: { number, inputs: copies(inputs), last } };
}

export function commandOf(frame: CommandFrame): ToThread {
  const { sequence, turn, number, name, arguments: args } = frame;
  return { kind: 'command', sequence, turn, number, name, arguments: args };
}

function copies(tensors: readonly Tensor[]): Tensor[] {
  return tensors.map((tensor) => ({ ...tensor, data: Uint8Array.from(tensor.data) }));
}
