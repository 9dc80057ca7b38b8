/** What a part of live input costs between a hoster and its engine, packed and with a JSON header. */
import { FrameReader, encodeFrameInPieces, packerFor } from '@cabstand/engine';
import type { ToEngine } from '@cabstand/engine';
import { tensorOf } from '@cabstand/tensor';
import { load } from './load';
import { heading, print } from './report';
import { show, spread } from './stats';

/** Frames in each tick of the event loop. */
const TICK = 16;
const ROUNDS = 15;
/** Processor time of a round, about, in ms. */
const ROUND_MS = 60;
const MEMORY = 512 * 1024;

type Input = Extract<ToEngine, { type: 'INPUT' }>;

const inputOf = (sequence: number, samples: number): Input => ({
  ...{ type: 'INPUT', sequence, turn: 0, part: 1_000, last: false },
  inputs: [tensorOf('audio', Float32Array.from({ length: samples }, Math.sin))],
});

/** Ways to bring a tick's frames over, as they are measured; each answers how many frames there were. */
function waysOf(samples: number): Readonly<Record<string, () => number>> {
  const frames = Array.from({ length: TICK }, (_, sequence) => inputOf(sequence, samples));
  const bytesOf = (protocol: number): Buffer =>
    Buffer.concat(frames.flatMap((frame) => encodeFrameInPieces(frame, protocol)));
  const [json, packed] = [bytesOf(3), bytesOf(4)];
  const reader = new FrameReader();
  const memory = Buffer.allocUnsafeSlow(MEMORY);
  const pack = packerFor(4);
  if (pack === undefined) throw new Error('protocol 4 packs');
  return {
    'encode, JSON': () => {
      for (const frame of frames) encodeFrameInPieces(frame, 3);
      return frames.length;
    },
    'encode, packed': () => {
      let at = 0;
      for (const frame of frames) at = pack(frame, memory, at);
      return at === packed.length ? frames.length : NaN;
    },
    'decode, JSON': () => reader.push(json).length,
    'decode, packed': () => reader.push(packed).length,
  };
}

/** Processor time in µs for each frame, over a round that takes some `ROUND_MS`. */
function measure(way: () => number): number {
  let frames = 0;
  const start = process.cpuUsage();
  for (;;) {
    for (let i = 0; i < 50; i += 1) frames += way();
    const { user, system } = process.cpuUsage(start);
    if (user + system > ROUND_MS * 1000) return (user + system) / frames;
  }
}

export function benchParts(): void {
  heading(
    'INPUT frames, µs of processor time each, protocols 3 (JSON) and 4 (packed)',
    `${TICK} in a tick, ${ROUNDS} rounds in turns, medians and quartiles`,
  );
  for (const samples of [16, 512, 4_096]) {
    const ways = Object.entries(waysOf(samples));
    const times = new Map(ways.map(([name]) => [name, [] as number[]]));
    for (const [, way] of ways) measure(way);
    for (let round = 0; round < ROUNDS; round += 1)
      for (const [name, way] of ways) times.get(name)?.push(measure(way));
    heading(`one float32 tensor of ${samples} (load of the machine ${load()})`);
    print([...times].map(([what, values]) => ({ what, value: show(spread(values)) })));
  }
}
