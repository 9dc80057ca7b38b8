import path from 'node:path';
import type { ModuleEnvironment } from '@cabstand/module';
import { loadManifest } from '@cabstand/model';
import { Tensor, fakeSession } from '../../libs/module/src/context.fixture';
import type { Given } from '../../libs/module/src/context.fixture';
import { draw, sceneOf } from './1/draw';
import Plasma from './1/index';

const parameters = { fps: 20, width: 12, height: 8, seed: 1 };

async function run(given: Partial<Given<typeof parameters>>, state?: unknown) {
  const module = Plasma.load({ Tensor } as unknown as ModuleEnvironment);
  const begun = (state ?? module.newState(parameters)) as ReturnType<typeof module.newState>;
  const session = fakeSession(begun, { parameters, ...given }, Plasma.commands);
  await module.startSession(session.ctx);
  return {
    states: session.states,
    shapes: session.records.map(({ image }) => image?.dims),
    pictures: session.records.map(({ image }) =>
      Buffer.from(image?.data as Uint8Array).toString('hex'),
    ),
  };
}

test('it is served as its manifest says', async () => {
  const manifest = await loadManifest(path.join(__dirname), undefined, { digest: false });
  expect(manifest).toMatchObject({ kind: 'module', takesPrompt: true });
  expect(manifest.module?.outputs).toEqual([{ name: 'image', dtype: 'uint8', shape: [-1, -1, 3] }]);
});

test('pictures move, have the size that was asked for, and are the same in a second run', async () => {
  const first = await run({ prompt: 'ocean waves', stopAfter: 4 });
  expect(first.shapes).toEqual(Array(4).fill([8, 12, 3]));
  expect(new Set(first.pictures).size).toBe(4);
  expect(await run({ prompt: 'ocean waves', stopAfter: 4 })).toEqual(first);
});

test('a session that goes on from a checkpoint draws what would have followed', async () => {
  const whole = await run({ stopAfter: 6 });
  const rest = await run({ stopAfter: 4 }, structuredClone(whole.states[2]));
  expect(rest.pictures).toEqual(whole.pictures.slice(2));
});

test('commands choose the picture, pause it, and begin anew', async () => {
  const { pictures } = await run({
    prompt: 'fire rings',
    commands: {
      0: ['set_prompt', { prompt: 'grey rings' }],
      1: ['pause', { paused: true }],
      3: ['pause', { paused: false }],
      4: ['seed', { seed: 9 }],
      5: ['set_prompt', { prompt: 'fire rings' }],
    },
    stopAfter: 7,
  });
  // Two before the pause, and then one for each call of idle.
  expect(pictures).toHaveLength(5);
  const isGrey = (hex: string): boolean => /^(?:(..)\1\1)+$/.test(hex);
  expect(pictures.map(isGrey)).toEqual([false, true, true, true, false]);
  const fresh = await run({ prompt: 'grey rings', stopAfter: 1 });
  expect(pictures[3]).not.toBe(fresh.pictures[0]);
});

test('any prompt has a scene, and the same one each time', () => {
  for (const prompt of ['', 'toString', 'a café at night', '🎨', 'FIRE spiral']) {
    const pixels = [new Uint8Array(300), new Uint8Array(300)] as const;
    for (const one of pixels) draw(one, 10, 10, 1, sceneOf(prompt, 2 ** 32 - 1));
    expect(pixels[0]).toEqual(pixels[1]);
    expect(new Set(pixels[0]).size).toBeGreaterThan(3);
  }
  expect(sceneOf('a fire, as a spiral', 1)).toEqual(sceneOf('FIRE spiral', 1));
});
