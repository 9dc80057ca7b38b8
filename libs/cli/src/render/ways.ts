import type { v1 } from '@cabstand/rpc';
import { printable } from './style';

/** Ways to give a model its input on the command line, the shortest first; each a part of a command. */
export function waysToGive(model: v1.ModelInfo__Output): string[] {
  const media = (kind: v1.TensorSpec__Output['media']): boolean =>
    model.inputs.some((input) => input.media === kind);
  const others = model.inputs.filter((input) => input.media === undefined);
  return [
    ...(model.takes_prompt ? ['--text "some text"'] : []),
    ...(media('audio') && model.inputs.length === 1
      ? ['--wav FILE.wav', ...(model.takes_live_input ? ['--stdin-audio'] : [])]
      : []),
    ...(media('image') && others.length === 0 ? ['--image FILE.png'] : []),
    ...(model.inputs.length === 0 ? [] : [model.inputs.map(tensorFlag).join(' ')]),
  ];
}

function tensorFlag({ name }: v1.TensorSpec__Output): string {
  const file = name.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^-+/, '') || 'input';
  return `--tensor ${quoted(`${printable(name)}=${file}.npy`)}`;
}

/** As a shell takes it for one word. */
export function quoted(word: string): string {
  return /^[\w.:/=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
