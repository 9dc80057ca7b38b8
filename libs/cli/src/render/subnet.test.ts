import type { v1 } from '@cabstand/rpc';
import { rendererFor } from './choose';
import { FrameRenderer } from './frames';
import { infoText } from './info';
import { nodesTable } from './nodes';
import { LabelRenderer } from './labels';
import { createStyle } from './style';
import { TensorRenderer } from './tensors';
import { TextRenderer } from './text';
import { TimelineRenderer } from './timeline';

const style = createStyle(false);
const NOW = 1_700_000_000_000;

const spec = (rest: Partial<v1.TensorSpec__Output>): v1.TensorSpec__Output => ({
  name: 'x',
  dtype: 'DATA_TYPE_FLOAT32',
  shape: [1, 1],
  dimension_names: [],
  description: '',
  labels: [],
  accepted_dtypes: [],
  ...rest,
});

const offer = (kind: string): v1.ModelOffer__Output => ({
  name: 'm',
  version: '1',
  digest: '',
  batch_class: 'BATCH_CLASS_EXACT',
  provider: 'cpu',
  capacity: 64,
  kind,
  reference: 'golden',
});

const model = (kind: string, rest: Partial<v1.ModelInfo__Output>): v1.ModelInfo__Output => ({
  offer: offer(kind),
  state: 'MODEL_STATE_READY',
  description: 'A model.',
  inputs: [],
  outputs: [],
  parameters: '',
  takes_prompt: false,
  gives_text: false,
  takes_live_input: false,
  tool_calls: '',
  frame_hop: 0,
  failure: '',
  checkpoints: false,
  runtime: '',
  free_slots: 61,
  batching_note: '',
  framing: [],
  commands: [],
  messages: {},
  survival: 'SURVIVAL_UNSPECIFIED',
  exclusive: false,
  ...rest,
});

const audio = spec({
  name: 'audio',
  shape: [-1],
  dimension_names: ['samples'],
  media: 'audio',
  audio: { sample_rate: 16000 },
});

test('each kind of model is shown its own way', () => {
  const options = {
    format: 'readable',
    columns: 80,
    rows: 24,
    interactive: false,
    area: undefined,
    style,
  } as const;
  const of = (kind: string, rest: Partial<v1.ModelInfo__Output>) =>
    rendererFor(model(kind, rest), options);
  expect(of('generator', { outputs: [spec({})] })).toBeInstanceOf(TextRenderer);
  expect(of('stateful', { inputs: [audio], outputs: [spec({})], frame_hop: 512 })).toBeInstanceOf(
    TimelineRenderer,
  );
  const picture = spec({ dtype: 'DATA_TYPE_UINT8', shape: [36, 64, 3] });
  expect(of('module', { outputs: [picture] })).toBeInstanceOf(FrameRenderer);
  expect(
    of('module', { outputs: [spec({ dtype: 'DATA_TYPE_UINT8', shape: [36, 64] })] }),
  ).toBeInstanceOf(TensorRenderer);
  expect(
    of('stateless', { outputs: [spec({ labels: ['a', 'b'], shape: [-1, 2] })] }),
  ).toBeInstanceOf(LabelRenderer);
  expect(
    of('stateful', { inputs: [audio], outputs: [spec({ shape: [1, 80] })], frame_hop: 512 }),
  ).toBeInstanceOf(TensorRenderer);
});

test('a module tells what it survives, what it may be told, and what it tells', () => {
  const text = infoText(
    '127.0.0.1:50051',
    {
      ...{ version: '', node_id: 'h', incarnation: '', limits: null, open_sessions: 0 },
      ...{ draining: false, onnxruntime_version: '' },
      models: [
        model('module', {
          survival: 'SURVIVAL_REPLAY',
          exclusive: true,
          commands: [
            {
              name: 'seed',
              description: 'Begins again.',
              arguments: '{"properties":{"seed":{"type":"integer"}},"required":["seed"]}',
              result: '',
            },
          ],
          messages: { scene: '{"type":"string"}' },
        }),
      ],
    },
    style,
  );
  expect(text).toContain(
    'module, on cpu, survives by replay, exclusive: one session at a time, 61',
  );
  expect(text).toMatch(/tell +seed +seed=integer +Begins again\./);
  expect(text).toMatch(/hear +scene +string/);
});

test('a hoster and its models, with what each input is given by', () => {
  const text = infoText(
    '127.0.0.1:50051',
    {
      version: '0.1.0',
      node_id: 'hoster-1',
      incarnation: '',
      models: [
        model('stateful', {
          inputs: [
            {
              ...audio,
              ...{ minimum: -1, accepted_dtypes: ['DATA_TYPE_FLOAT32', 'DATA_TYPE_INT16'] },
            },
          ],
          framing: [{ input: 'audio', axis: 0, frame: 512, hop: 512, remainder: 'keep' }],
          outputs: [spec({ name: 'p', description: 'How likely.' })],
          parameters: '{"rate":{"dtype":"int64","default":16000,"description":"Hertz."}}',
        }),
        model('generator', {
          offer: { ...offer('generator'), reference: 'self', batch_class: 'BATCH_CLASS_UNBATCHED' },
          batching_note: 'a row depends on its neighbours',
          state: 'MODEL_STATE_FAILED',
          failure: 'engine\u001b[2J gone',
          takes_prompt: true,
        }),
      ],
      limits: null,
      open_sessions: 3,
      draining: true,
      onnxruntime_version: '1.30.0',
    },
    style,
  );
  expect(text).toContain('hoster-1 at 127.0.0.1:50051 (draining)');
  expect(text).toMatch(
    /in +audio +float32 or int16 \[samples\] +--wav at 16000 Hz; a frame takes 512; at least -1\n/,
  );
  expect(text).toMatch(/out +p +float32 \[1, 1\] +How likely\./);
  expect(text).toMatch(/set +rate +int64 \(default 16000\) +Hertz\./);
  expect(text).toMatch(/in +prompt +text +--text/);
  expect(text).toContain('engine\ufffd[2J gone');
  expect(text).toContain(
    'batching exact, reference golden, 61 of 64 slots free for new sessions\n',
  );
  expect(text).toContain(
    'batching unbatched, reference self, 61 of 64 slots free for new sessions\n',
  );
  expect(text).toContain('  a row depends on its neighbours\n');
});

test('nodes are a row for each model, in the order people count', () => {
  const node = (id: string, rest: Partial<v1.NodeInfo__Output>): v1.NodeInfo__Output => ({
    node_id: id,
    incarnation: '',
    address: '127.0.0.1:50051',
    state: 'NODE_STATE_ONLINE',
    state_reasons: [],
    models: [
      offer('stateful'),
      // Of a hoster that is older than these fields.
      { ...offer('generator'), name: 'g', reference: '', batch_class: 'BATCH_CLASS_UNSPECIFIED' },
    ],
    load: {
      models: [
        {
          ...{ model: 'm', free_slots: 5, resume_slots: 3, queue_depth: 0, step_seconds: 0 },
          ...{ records_per_second: 0, first_chunk_seconds: 0 },
        },
      ],
      open_sessions: 2,
      event_loop_lag_seconds: 0,
    },
    version: '',
    registered: null,
    last_heartbeat: { seconds: NOW / 1000 - 2, nanos: 0 },
    banned_until: null,
    other_models: [],
    ...rest,
  });
  const suspect = node('h-2', {
    state: 'NODE_STATE_SUSPECT',
    state_reasons: ['heartbeat late'],
    models: [],
    load: null,
  });
  const failing = node('h-11', {
    models: [offer('stateful')],
    other_models: [
      { name: 'm', version: '0', state: 'MODEL_STATE_DRAINING' },
      { name: 'mine\u001b[2J', version: '', state: 'MODEL_STATE_FAILED' },
    ],
  });
  const idle = node('h-12', {
    models: [],
    other_models: [{ name: 'n', version: '3', state: 'MODEL_STATE_FAILED' }],
  });
  expect(nodesTable([idle, failing, node('h-10', {}), suspect], style, NOW)).toBe(
    [
      'NODE  STATE    ADDRESS          MODEL     ON   BATCHING  REFERENCE  FREE      SESSIONS  HEARTBEAT  REASONS',
      'h-2   SUSPECT  127.0.0.1:50051  -                                             0         2.0 s ago  heartbeat late',
      'h-10  ONLINE   127.0.0.1:50051  m v1      cpu  exact     golden     5+3/64    2         2.0 s ago',
      '                                g v1      cpu  ?         ?          ?/64',
      'h-11  ONLINE   127.0.0.1:50051  m v1      cpu  exact     golden     5+3/64    2         2.0 s ago',
      '                                m v0                                draining',
      '                                mine\ufffd[2J                            failed',
      'h-12  ONLINE   127.0.0.1:50051  n v3                                failed    2         2.0 s ago',
      '',
    ].join('\n'),
  );

  const all = [idle, failing, node('h-10', {}), suspect];
  for (const width of [100, 80, 60, 40]) {
    const text = nodesTable(all, style, NOW, width);
    for (const line of text.split('\n')) expect(Array.from(line).length).toBeLessThanOrEqual(width);
    for (const told of ['h-2', 'SUSPECT', 'failed', '5+3/64']) expect(text).toContain(told);
  }
  expect(nodesTable(all, style, NOW, 80)).toContain('ADDRESS');
  // What is wrong is worth more than where it is.
  expect(nodesTable(all, style, NOW, 60)).toContain('heartbeat late');
});
