/** The manifest of models in memory: takes what tests of the session core send. */
import type { Manifest } from '@cabstand/model';

const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));

/** A turn brings a prompt or tensor `x`, at once or in parts. */
export const ANY_INPUT: Manifest = {
  folder: '/models/fake',
  file: '/models/fake/model.yaml',
  version: '1',
  digest: 'sha256:00',
  name: 'fake',
  kind: 'generator',
  description: '',
  provenance: { source: '', version: '', digest: '', licence: '', script: '' },
  providers: ['cpu'],
  graphs: [],
  state: [],
  parameters: [],
  inputs: [
    {
      name: 'x',
      description: '',
      dtype: 'uint8',
      alsoDtypes: ['float32'],
      shape: ['values'],
      minimum: undefined,
      maximum: undefined,
      allowNan: false,
      media: { kind: 'text' },
    },
  ],
  outputs: [],
  framing: undefined,
  generation: undefined,
  text: {
    input: {
      vocabulary: { tokens: PRINTABLE, ids: new Map(PRINTABLE.map((text, id) => [text, id])) },
      split: 'characters',
      case: 'keep',
      append: [],
    },
    output: undefined,
  },
  batching: { class: undefined, maxBatch: 1 },
  limits: { maxInputBytes: 65_536, maxSequenceLength: 65_536, maxStateBytes: undefined },
  golden: { file: '', tolerance: 0 },
  takesPrompt: true,
  takesLiveInput: true,
};
