import { subnetPaths } from '@cabstand/auth-admin';
import type { v1 } from '@cabstand/rpc';
import { toWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { addressOf } from '../subnet/layout';
import type { SubnetLayout } from '../subnet/layout';
import { commandName, flagsFor } from './guide';
import { quoted, waysToGive } from './ways';
import type { Style } from './style';

/** A model that is served, with an input that fits it; none where none can be made. */
export interface ServedExample {
  readonly model: v1.ModelInfo__Output;
  readonly inputs: readonly Tensor[] | undefined;
}

/** Of more models only the shortest command is shown. */
const IN_FULL = 2;
const IN_TITLE = 4;
const MOST = 10;
/** Longer requests go into a file. */
const LONGEST_REQUEST = 300;

/**
 * How to call the models of a subnet that `cabstand serve` started.
 *
 * @param save keeps a request that is too long for a command line; answers its file.
 */
export function serveGuide(
  examples: readonly ServedExample[],
  places: SubnetLayout,
  auth: boolean,
  style: Style,
  save: (name: string, text: string) => string,
): string {
  const names = examples.map(({ model }) => model.offer?.name ?? '');
  const title =
    names.length > IN_TITLE
      ? `${names.length} models are served.`
      : `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} served.`;
  const full = examples.slice(0, IN_FULL).map((example) => inFull(example, places, auth, save));
  const short = examples
    .slice(IN_FULL, MOST)
    .map(({ model }) => inferLine(model, '--example', places, auth));
  const blocks = short.length === 0 ? full : [...full, short];
  const rest = examples.length > MOST ? `  … ${examples.length - MOST} more\n` : '';
  const more = `${commandName()} info${flagsFor(places, auth)}`;
  return [
    `\n${style.bold(title)} Call it from another terminal:\n\n`,
    blocks.map((lines) => lines.map((line) => `  ${line}\n`).join('')).join('\n'),
    rest,
    `\n${style.dim('about')}  ${more}\n${style.dim('logs')}   ${places.logs}\n`,
    'Ctrl-C stops it.\n',
  ].join('');
}

function inFull(
  { model, inputs }: ServedExample,
  places: SubnetLayout,
  auth: boolean,
  save: (name: string, text: string) => string,
): string[] {
  const [way] = waysToGive(model);
  return [
    inferLine(model, '--example', places, auth),
    ...(way === undefined ? [] : [inferLine(model, way, places, auth)]),
    ...(inputs === undefined
      ? []
      : [grpcurlLine(model, inputs, places, auth, save), typescriptLine(model, inputs)]),
  ];
}

function inferLine(
  model: v1.ModelInfo__Output,
  input: string,
  places: SubnetLayout,
  auth: boolean,
): string {
  return `${commandName()} infer --model ${model.offer?.name ?? ''} ${input}${flagsFor(places, auth)}`;
}

function grpcurlLine(
  model: v1.ModelInfo__Output,
  inputs: readonly Tensor[],
  places: SubnetLayout,
  auth: boolean,
  save: (name: string, text: string) => string,
): string {
  const [hoster] = places.hosters;
  const name = model.offer?.name ?? '';
  const request = JSON.stringify({ model: name, ...requestInputs(model, inputs) });
  const token = auth
    ? ` -H "authorization: Bearer $(cat ${quoted(subnetPaths(places.keys).token('client'))})"`
    : '';
  const [data, from] =
    request.length <= LONGEST_REQUEST
      ? [quoted(request), '']
      : ['@', ` < ${quoted(save(`${name}.json`, request))}`];
  return `grpcurl -plaintext${token} -d ${data} ${addressOf(hoster ?? places.router)} cabstand.v1.HosterService/rpc_inference_stream${from}`;
}

function requestInputs(model: v1.ModelInfo__Output, inputs: readonly Tensor[]): object {
  if (model.takes_prompt) return { prompt: 'some text' };
  return {
    inputs: inputs.map((tensor) => {
      const { data, strings, ...head } = toWire(tensor);
      return strings.length > 0
        ? { ...head, strings }
        : { ...head, data: Buffer.from(data).toString('base64') };
    }),
  };
}

/** With @cabstand/client: in place of the session in README.md's program. */
function typescriptLine(
  { offer, takes_prompt }: v1.ModelInfo__Output,
  inputs: readonly Tensor[],
): string {
  const given = takes_prompt
    ? "'some text'"
    : `undefined, [${inputs.map(tensorSource).join(', ')}]`;
  const needed = given.includes('tensorFrom(')
    ? `import { tensorFrom } from '@cabstand/client'; `
    : '';
  const model = JSON.stringify(offer?.name ?? '');
  return `${needed}const session = subnet.session({ model: ${model} }); for await (const chunk of session.runProtocolTask(${given})) console.log(chunk.text, chunk.tensors); // the rest as in README.md`;
}

function tensorSource({ name, dtype, shape }: Tensor): string {
  const count = shape.reduce((product, size) => product * size, 1);
  const value = dtype === 'string' ? "''" : dtype === 'bool' ? 'false' : '0';
  return `tensorFrom(${JSON.stringify(name)}, '${dtype}', Array(${count}).fill(${value}), [${shape.join(', ')}])`;
}
