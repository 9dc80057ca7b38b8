/** Models as hosters describe them, in the words of doors. */
import type { ModelFacts, ParameterFacts, TensorFacts } from '@cabstand/doors';
import type { v1 } from '@cabstand/rpc';
import { dtypeFromWire, isDType } from '@cabstand/tensor';

const KINDS = ['stateless', 'stateful', 'generator', 'language-model', 'module'] as const;
const TOOL_CALLS = ['hermes', 'mistral', 'llama'] as const;

export function modelFacts(model: v1.ModelInfo__Output): ModelFacts {
  const { offer } = model;
  return {
    name: offer?.name ?? '',
    version: offer?.version ?? '',
    digest: offer?.digest ?? '',
    kind: KINDS.find((kind) => kind === offer?.kind) ?? 'stateless',
    description: model.description,
    state: stateOf(model.state),
    failure: model.failure,
    provider: offer?.provider ?? '',
    inputs: model.inputs.map(tensorFacts),
    outputs: model.outputs.map(tensorFacts),
    parameters: parameterFacts(model.parameters),
    takesPrompt: model.takes_prompt,
    givesText: model.gives_text,
    takesLiveInput: model.takes_live_input,
    toolCalls: TOOL_CALLS.find((format) => format === model.tool_calls),
    capacity: offer?.capacity ?? 0,
  };
}

/** The version that is served where none is asked for: the newest one that is ready, or else the newest. */
export function servedByDefault(versions: readonly ModelFacts[]): ModelFacts | undefined {
  const newest = [...versions].sort((a, b) => Number(b.version) - Number(a.version));
  return newest.find(({ state }) => state === 'ready') ?? newest[0];
}

function stateOf(state: v1.ModelInfo__Output['state']): ModelFacts['state'] {
  switch (state) {
    case 'MODEL_STATE_READY':
      return 'ready';
    case 'MODEL_STATE_LOADING':
    case 'MODEL_STATE_VERIFYING':
      return 'loading';
    case 'MODEL_STATE_DRAINING':
      return 'draining';
    case 'MODEL_STATE_FAILED':
    case 'MODEL_STATE_UNSPECIFIED':
      return 'failed';
  }
}

function tensorFacts({
  name,
  dtype,
  shape,
  description,
  labels,
}: v1.TensorSpec__Output): TensorFacts {
  return { name, dtype: dtypeFromWire(dtype), shape, description, labels };
}

function parameterFacts(json: string): ParameterFacts[] {
  const table: unknown = json === '' ? {} : JSON.parse(json);
  return Object.entries(table as Readonly<Record<string, Partial<ParameterFacts>>>).flatMap(
    ([name, { dtype, shape = [] }]) =>
      dtype !== undefined && isDType(dtype) ? [{ name, dtype, shape }] : [],
  );
}
