/** Models in the words of the Open Inference Protocol. */
import type { ModelFacts, TensorFacts } from '../serving';
import { PROMPT, TEXT, promptInput, textOutput } from './ask';
import { DATATYPES } from './datatypes';

export const SERVER_NAME = 'cabstand';

/** Parts of the protocol that both gRPC and HTTP have. */
export const EXTENSIONS: readonly string[] = [
  'sequence',
  'sequence(string_id)',
  'model_configuration',
  'model_repository',
  'schedule_policy',
  'parameters',
  'statistics',
];

export interface DescribedTensor {
  readonly name: string;
  /** Empty for an output of a model that is not loaded. */
  readonly datatype: string;
  readonly shape: readonly number[];
  /** It may be left out. */
  readonly optional: boolean;
}

export function describedInputs(model: ModelFacts): DescribedTensor[] {
  const prompted = promptInput(model);
  // Others take their input either way; of a module the text is what may be left out.
  const optional = prompted && model.kind !== 'module';
  const inputs = model.inputs.map((input) => described(input, input.shape, optional));
  if (prompted) inputs.push({ name: PROMPT, datatype: 'BYTES', shape: [1], optional: true });
  return inputs;
}

/** As ModelInfer gives them: the outputs of all steps are one behind another. */
export function describedOutputs(model: ModelFacts): DescribedTensor[] {
  const outputs = model.outputs.map((output) => {
    const [, ...inner] = output.shape;
    return described(output, model.kind === 'stateless' ? output.shape : [-1, ...inner], false);
  });
  if (textOutput(model))
    outputs.push({ name: TEXT, datatype: 'BYTES', shape: [1], optional: false });
  return outputs;
}

function described(
  { name, dtype }: TensorFacts,
  shape: readonly number[],
  optional: boolean,
): DescribedTensor {
  return { name, datatype: dtype === undefined ? '' : DATATYPES[dtype], shape, optional };
}

/** A request may have many answers, and nobody knows how many. */
export function isDecoupled({ kind }: ModelFacts): boolean {
  return goesOn({ kind }) || kind === 'module';
}

/** It goes on with what it is given, record by record. */
function goesOn({ kind }: Pick<ModelFacts, 'kind'>): boolean {
  return kind === 'generator' || kind === 'language-model';
}

/** Turns see what the ones before left. */
export function isSequential({ kind }: ModelFacts): boolean {
  return kind !== 'stateless';
}

export function platformOf({ kind }: ModelFacts): string {
  return kind === 'module' ? 'cabstand_module' : 'onnxruntime_onnx';
}

export function backendOf({ kind }: ModelFacts): string {
  return kind === 'module' ? 'cabstand' : 'onnxruntime';
}

/** State of a model in the index of the repository. */
export function indexState({ state }: ModelFacts): string {
  return { ready: 'READY', loading: 'LOADING', draining: 'UNLOADING', failed: 'UNAVAILABLE' }[
    state
  ];
}

/** Versions of a model that are there, the one that serves last. */
export function versionsOf(models: readonly ModelFacts[], { name }: ModelFacts): string[] {
  const versions = models.filter((model) => model.name === name).map(({ version }) => version);
  return versions.sort((a, b) => Number(a) - Number(b));
}
