import { FakeClock } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { Script, isFilm } from './demo-film';

const picture = { name: 'image', dtype: 'DATA_TYPE_UINT8', shape: [-1, -1, 3] };
const model = (rest: object): v1.ModelInfo__Output =>
  ({
    ...{ offer: { kind: 'module' }, state: 'MODEL_STATE_READY', inputs: [], outputs: [picture] },
    ...rest,
  }) as unknown as v1.ModelInfo__Output;

test('a module that draws is a film, whether it takes a prompt or not', () => {
  expect([true, false].map((takes_prompt) => isFilm(model({ takes_prompt })))).toEqual([
    true,
    true,
  ]);
});

test.each([
  { offer: { kind: 'generator' } },
  { state: 'MODEL_STATE_FAILED' },
  { inputs: [picture] },
  { outputs: [] },
])('%j is none', (rest) => expect(isFilm(model(rest))).toBe(false));

test('a film that a command has paused goes on with the next one, and ends', async () => {
  const clock = new FakeClock();
  const said: string[] = [];
  const acts = { command: (line: string) => said.push(line), stop: () => said.push('stop') };
  const script = new Script(['pause', 'go on'], acts, clock);
  const played = script.played({ chunk: () => 'drawn', finish: () => '' });
  await clock.advance(10_000);
  expect(said).toEqual([]);
  // No picture comes after this one.
  const first = { index: 0, position: 0, turn: 0, text: '', outputs: [] };
  expect(played.chunk(first)).toBe('drawn');
  await clock.advance(10_000);
  expect(said).toEqual(['pause', 'go on', 'stop']);
});
