import type { v1 } from '@cabstand/rpc';
import { inputRows, parameterRows } from './info';
import { table } from './table';
import type { Style } from './style';
import { waysToGive } from './ways';

/**
 * What a model takes, and a command for each way to give it; indented by two.
 *
 * @param command the command up to the input, with what it has to be told of the subnet.
 */
export function inputGuide(model: v1.ModelInfo__Output, command: string, style: Style): string {
  const parameters = parameterRows(model.parameters);
  const [parameter] = parameters;
  const lines = [
    'It takes',
    ...rowsOf(inputRows(model)),
    ...(parameters.length === 0
      ? []
      : ['and may be told, with --param NAME=VALUE,', ...rowsOf(parameters)]),
    'Examples:',
    ...['--example', ...waysToGive(model)].map((way) => `  $ ${command} ${way}`),
    ...(parameter === undefined
      ? []
      : [`  $ ${command} --example --param ${parameter[0] ?? ''}=VALUE`]),
    ...(model.inputs.some(({ media }) => media === undefined)
      ? [style.dim('Files may be .npy, .npz, .json, or raw bytes: --tensor x=FILE:float32:1x3')]
      : []),
  ];
  return lines.join('\n  ');
}

function rowsOf(rows: readonly (readonly string[])[]): string[] {
  return table(rows)
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`);
}
