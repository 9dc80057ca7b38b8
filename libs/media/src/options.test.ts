import { tmpdir } from 'node:os';
import { audioFrom, audioParts } from './audio';
import { segmentsOf } from './segments';
import { Wav } from './wav/wav';
import { wavBytes } from './wav/wav.fixture';

const refused = (field: string) => ({ reason: 'INVALID_ARGUMENT', metadata: { field } });
const wav = wavBytes({ data: Buffer.alloc(8) });

test('unknown options are refused, with the one that was meant', async () => {
  const options = { sampleRate: 16_000, sampelRate: 1 };
  await expect(audioFrom(wav, options)).rejects.toMatchObject({
    ...refused('sampelRate'),
    message: expect.stringContaining('did you mean sampleRate?') as unknown,
  });
  const parts = { sampleRate: 16_000, partSamples: 1, parts: 3 };
  const opened = await Wav.open(wav);
  await expect(audioParts(opened, parts).next()).rejects.toMatchObject(refused('parts'));
  const segments = { frameSeconds: 1, treshold: 0.5 };
  expect(() => segmentsOf([], segments)).toThrow(/treshold: .*did you mean threshold\?/);
});

test.each<[string, () => Promise<unknown>, RegExp]>([
  ['no options', () => audioFrom('x.wav', undefined as never), /audioFrom: .*sampleRate/],
  ['no rate', () => audioFrom('x.wav', {} as never), /sampleRate: got nothing, expected 1000 to/],
  ['no source', () => audioFrom(undefined as never, { sampleRate: 16_000 }), /source: got nothing/],
  [
    'a missing file',
    () => audioFrom('no/such.wav', { sampleRate: 16_000 }),
    /cannot read no\/such\.wav: there is no such file \(looked for in .+\)/,
  ],
  ['a folder', () => audioFrom(tmpdir(), { sampleRate: 16_000 }), /cannot read .+: it is a folder/],
])('%s is refused with what is needed', async (_what, call, message) => {
  const error: unknown = await call().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ reason: 'INVALID_ARGUMENT' });
  expect(String(error)).toMatch(message);
});
