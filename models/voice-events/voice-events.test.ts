import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import type { ModuleEnvironment } from '@cabstand/module';
import { loadManifest } from '@cabstand/model';
import { InferenceSession, Tensor, fakeSession } from '../../libs/module/src/context.fixture';
import { FRAME, finish, hear, nothingHeard } from './1/utterances';
import type { Utterance } from './1/utterances';
import VoiceEvents from './1/index';

const parameters = { threshold: 0.5, silence: 0.4 };

/** Header of 44 bytes, then mono int16 at 16 kHz. */
function speech(): Float32Array {
  const bytes = readFileSync(path.join(__dirname, '../../test/assets/speech.wav')).subarray(44);
  return Float32Array.from(
    { length: bytes.length >> 1 },
    (_, at) => bytes.readInt16LE(2 * at) / 32_768,
  );
}

async function listen(audio: Float32Array, size: number, state?: unknown) {
  const module = await VoiceEvents.load({
    Tensor,
    createSession: (file: string) => InferenceSession.create(path.join(__dirname, '1', file)),
  } as unknown as ModuleEnvironment);
  const parts = Array.from({ length: Math.ceil(audio.length / size) }, (_, at) => {
    const data = audio.slice(at * size, (at + 1) * size);
    return { audio: new Tensor('float32', data, [data.length]) };
  });
  const begun = (state ?? module.newState()) as ReturnType<typeof module.newState>;
  const session = fakeSession(begun, { parameters, parts });
  await module.startSession(session.ctx);
  return {
    states: session.states,
    messages: session.messages,
    speech: session.records.map(({ speech_probability: value }) => value?.data[0] as number),
  };
}

test('it is served as its manifest says', async () => {
  const manifest = await loadManifest(__dirname, undefined, { digest: false });
  expect(manifest).toMatchObject({ kind: 'module', takesLiveInput: true });
  expect(manifest.sessions).toMatchObject({ survival: 'commit', exclusive: false });
});

test('the weights are those of silero-vad', () => {
  const file = '1/silero_vad.onnx';
  const theirs = readFileSync(path.join(__dirname, '../silero-vad', file));
  expect(readFileSync(path.join(__dirname, file)).equals(theirs)).toBe(true);
});

test('the sentences of the recording are heard, however the audio is cut', async () => {
  const audio = speech();
  const whole = await listen(audio, FRAME);
  expect(whole.speech).toHaveLength(Math.floor(audio.length / FRAME));
  const utterances = whole.messages.map(({ message }) => message as Utterance);
  expect(utterances.length).toBeGreaterThanOrEqual(2);
  // Half a second of silence before the first.
  expect(utterances[0]?.start).toBeGreaterThan(0.3);
  for (const { start, end, seconds } of utterances) expect(end - start).toBeCloseTo(seconds);
  const { speech: probabilities, messages } = await listen(audio, 3000);
  expect({ probabilities, messages }).toEqual({
    probabilities: whole.speech,
    messages: whole.messages,
  });
});

test('a session that goes on from a checkpoint hears what would have followed', async () => {
  const audio = speech().slice(0, 80 * FRAME);
  const whole = await listen(audio, FRAME);
  // One checkpoint before a part, one before its frame: this one is after 30 of each.
  const rest = await listen(audio.slice(30 * FRAME), FRAME, structuredClone(whole.states[60]));
  expect(rest.speech).toEqual(whole.speech.slice(30));
});

test('utterances follow one another and none is shorter than a tenth of a second', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 400 }), (all) => {
      const heard = nothingHeard();
      const found = all.flatMap((one) => hear(heard, one, parameters) ?? []);
      found.push(...[finish(heard) ?? []].flat());
      let before = 0;
      for (const { start, end } of found) {
        expect(start).toBeGreaterThanOrEqual(before);
        expect(end - start).toBeGreaterThan(0.1 - 1e-9);
        before = end;
      }
      expect(before).toBeLessThanOrEqual((all.length * FRAME) / 16_000);
    }),
  );
});

test('a pause shorter than the silence asked for is part of the utterance', () => {
  const heard = nothingHeard();
  const frames = [...Array<number>(10).fill(0.9), ...Array<number>(12).fill(0), 0.9];
  expect(frames.flatMap((one) => hear(heard, one, parameters) ?? [])).toEqual([]);
  expect(finish(heard)).toEqual({ start: 0, end: 0.736, seconds: 0.736 });
});
