import type { v1 } from '@cabstand/rpc';
import { tensorOf } from '@cabstand/tensor';
import { layout } from '../subnet/layout';
import { upGuide } from './guide';
import { inputGuide } from './input-guide';
import { serveGuide } from './serve-guide';
import { createStyle } from './style';
import { quoted, waysToGive } from './ways';

const style = createStyle(false);

const spec = (rest: Partial<v1.TensorSpec__Output>): v1.TensorSpec__Output => ({
  ...{ name: 'x', dtype: 'DATA_TYPE_FLOAT32', shape: [1, -1], dimension_names: ['', 'n'] },
  ...{ description: '', labels: [], accepted_dtypes: [] },
  ...rest,
});

const model = (name: string, rest: Partial<v1.ModelInfo__Output>): v1.ModelInfo__Output =>
  ({
    ...{ offer: { name, kind: 'stateless' }, inputs: [spec({})], outputs: [], parameters: '' },
    ...{ takes_prompt: false, takes_live_input: false, frame_hop: 0, framing: [] },
    ...rest,
  }) as v1.ModelInfo__Output;

test('each way to give an input is a part of a command that a shell takes', () => {
  expect(waysToGive(model('m', { inputs: [spec({}), spec({ name: "it's:0" })] }))).toEqual([
    String.raw`--tensor x=x.npy --tensor 'it'\''s:0=it-s-0.npy'`,
  ]);
  const audio = spec({ name: 'audio', media: 'audio', audio: { sample_rate: 16000 } });
  expect(waysToGive(model('m', { inputs: [audio], takes_live_input: true }))).toEqual([
    '--wav FILE.wav',
    '--stdin-audio',
    '--tensor audio=audio.npy',
  ]);
  expect(waysToGive(model('m', { inputs: [], takes_prompt: true }))).toEqual([
    '--text "some text"',
  ]);
  expect(quoted('a b')).toBe("'a b'");
});

test('who gives no input reads what there is', () => {
  const text = inputGuide(
    model('m', { parameters: '{"gain":{"dtype":"float32","default":2}}' }),
    'npx cabstand infer --model m',
    style,
  );
  expect(text).toMatch(/x +float32 \[1, n\]/);
  expect(text).toContain('gain  float32 (default 2)');
  expect(text).toContain('  $ npx cabstand infer --model m --tensor x=x.npy\n');
});

describe('how to call what is served', () => {
  const places = layout({ data: '.cabstand', port: 50050, adminPort: 8050, hosters: 1 });
  const inputs = [tensorOf('x', Float32Array.of(1, 2), [1, 2])];

  test('in each language, with an input that fits', () => {
    const text = serveGuide([{ model: model('m', {}), inputs }], places, true, style, () => '');
    expect(text).toContain('m is served.');
    expect(text).toContain('infer --model m --example\n');
    const [, request] = /-d '(.*)' 127\.0\.0\.1:50051/.exec(text) ?? [];
    expect(JSON.parse(request ?? '')).toEqual({
      model: 'm',
      inputs: [{ name: 'x', dtype: 'DATA_TYPE_FLOAT32', shape: [1, 2], data: 'AACAPwAAAEA=' }],
    });
    expect(text).toContain(`tensorFrom("x", 'float32', Array(2).fill(0), [1, 2])`);
  });

  test('a request that is too long for a command line goes into a file', () => {
    const saved = new Map<string, string>();
    const long = [tensorOf('x', new Float32Array(300), [1, 300])];
    const text = serveGuide(
      [{ model: model('m', {}), inputs: long }],
      places,
      false,
      style,
      (n, t) => {
        saved.set(n, t);
        return `/tmp/${n}`;
      },
    );
    expect(text).toContain(' -d @ 127.0.0.1:50051');
    expect(text).toContain(' < /tmp/m.json\n');
    expect([...saved.keys()]).toEqual(['m.json']);
    expect(text).not.toContain('authorization');
  });

  test('of many models the first are told in full', () => {
    const many = Array.from({ length: 12 }, (_, i) => ({ model: model(`m${i}`, {}), inputs }));
    const text = serveGuide(many, places, true, style, () => '');
    expect(text.match(/grpcurl/g)).toHaveLength(2);
    expect(text.match(/--example/g)).toHaveLength(10);
    expect(text).toContain('… 2 more');
    expect(text).toContain('12 models are served.');
  });
});

test('up shows commands for models that are there', () => {
  const places = layout({ data: '.cabstand', port: 50050, adminPort: 8050, hosters: 1 });
  const bundled = upGuide(places, true, ['g2p', 'silero-vad'], style);
  expect(bundled).toContain('infer --model g2p --text taxi\n');
  expect(bundled).toContain('grpcurl');
  const own = upGuide(places, true, ['mine'], style);
  expect(own).toContain('infer --model mine --example\n');
  expect(own).not.toContain('g2p');
});
