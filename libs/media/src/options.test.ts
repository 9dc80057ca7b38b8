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
