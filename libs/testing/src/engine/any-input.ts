/** What models in memory take: whatever tests of the session core send. */
import type { ModelSignature } from '@cabstand/model';

const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));

/** A turn brings a prompt or tensor `x`, at once or in parts. */
export const ANY_INPUT: ModelSignature = {
  version: '1',
  digest: 'sha256:00',
  name: 'fake',
  kind: 'generator',
  description: '',
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
  framed: [],
  rows: [],
  sessions: undefined,
  text: {
    input: {
      vocabulary: { tokens: PRINTABLE, ids: new Map(PRINTABLE.map((text, id) => [text, id])) },
      split: 'characters',
      case: 'keep',
      append: [],
    },
    output: undefined,
  },
  limits: { maxInputBytes: 65_536, maxSequenceLength: 65_536, maxStateBytes: undefined },
  takesPrompt: true,
  takesLiveInput: true,
  takesEmpty: true,
};
