import path from 'node:path';
import type { Command } from 'commander';
import { list, parameter } from '../arguments';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { computeRecords } from '../models/compute';
import { addGolden } from '../models/golden';
import type { Compute } from '../models/golden';
import { renewGolden } from '../models/renew-golden';
import { jsonLine } from '../render/json';
import { renewedText } from '../render/model-report';
import { printable } from '../render/style';

interface GoldenFlags {
  readonly input?: readonly string[];
  readonly output?: readonly string[];
  readonly text?: string;
  readonly param?: Readonly<Record<string, unknown>>;
  readonly models: string;
  readonly turn?: true;
  readonly renew?: true;
  readonly json?: true;
}

/** `cabstand model golden`. */
export function registerModelGolden(model: Command, context: CliContext): void {
  model
    .command('golden <name>')
    .description(
      'Adds a turn to golden.json: inputs, and what the model has to answer to them, which is what it answers now unless you say otherwise. Hosters refuse a model that answers something else from then on.',
    )
    .option(
      '--input <name=file>',
      'an input: .npy, .npz:KEY, .json, FILE:DTYPE:SHAPE, .wav, .png; several times',
      list,
    )
    .option('--text <text>', 'text, for a model that takes a prompt')
    .option('--param <name=value>', 'a parameter of the turn (JSON, or a string)', parameter)
    .option(
      '--output <name=file>',
      'what it has to answer, as you have it from elsewhere; the second of a name is of the second record',
      list,
    )
    .option('--turn', 'one more turn of the last sequence: the state goes on')
    .option(
      '--renew',
      'after training: the inputs stay, and all outputs are computed anew with the newest version',
    )
    .option('--models <dir>', 'the repository', 'models')
    .option('--json', 'what was written as one JSON object')
    .addHelpText(
      'after',
      `
Tensors beyond a megabyte go into an npz file beside golden.json.

Examples:
  $ cabstand model golden mine --input x=x.npy
  $ cabstand model golden mine --input x=x.npy --output y=y.npy
  $ cabstand model golden mine --input x=next.npy --output y=next-y.npy --turn
  $ cabstand model golden mine --renew               what new weights answer, from now on`,
    )
    .action((name: string, flags: GoldenFlags) => golden(context, name, flags));
}

async function golden(context: CliContext, name: string, flags: GoldenFlags): Promise<void> {
  const { terminal } = context;
  const folder = path.join(flags.models, name);
  const compute: Compute = (manifest, sessions) => computeRecords(context, manifest, sessions);
  if (flags.renew === true) {
    if (flags.input ?? flags.text ?? flags.param ?? flags.output ?? flags.turn)
      throw new UsageError(
        '--renew takes no inputs and outputs',
        'Add turns in a call of their own.',
      );
    const renewed = await renewGolden(folder, compute);
    await terminal.out(flags.json === true ? jsonLine(renewed) : `${renewedText(renewed)}\n`);
    return;
  }
  const options = {
    inputs: flags.input ?? [],
    prompt: flags.text,
    parameters: flags.param ?? {},
    outputs: flags.output ?? [],
    turn: flags.turn === true,
  };
  const added = await addGolden(folder, options, compute);
  if (flags.json === true) {
    await terminal.out(jsonLine(added));
    return;
  }
  const { file, records, from, sequences, notes } = added;
  await terminal.out(
    `${file}: one more turn of ${records} ${records === 1 ? 'record' : 'records'} (${from}); ${sequences} ${sequences === 1 ? 'sequence' : 'sequences'} now\n`,
  );
  for (const note of notes)
    await terminal.out(`  ${terminal.style.yellow('open')}  ${printable(note)}\n`);
}
