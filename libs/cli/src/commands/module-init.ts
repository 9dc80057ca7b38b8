import path from 'node:path';
import type { Command } from 'commander';
import type { CliContext } from '../context';
import { initModule } from '../models/init-module';
import { commandName } from '../render/guide';
import { quoted } from '../render/ways';
import { DEFAULT_MODELS } from '../subnet/layout';

/** `cabstand module init`. */
export function registerModuleInit(module: Command, context: CliContext): void {
  module
    .command('init <name>')
    .description(
      'Makes a folder with a module in TypeScript that runs as it is: frames, a command, a message, a checkpoint, and a stop.',
    )
    .option('--folder <dir>', 'the repository that gets the new folder', DEFAULT_MODELS)
    .addHelpText(
      'after',
      `
Nothing has to be built or installed: hosters load the TypeScript. A folder of the name is left alone.

Examples:
  $ cabstand module init waves                 makes models/waves
  $ cabstand module init waves --folder ~/mine`,
    )
    .action((name: string, { folder }: { folder: string }) => init(context, folder, name));
}

async function init({ terminal }: CliContext, repository: string, wanted: string): Promise<void> {
  const { style } = terminal;
  const { name, folder, file, manifest } = await initModule(repository, wanted);
  const cabstand = commandName();
  const line = (text: string, about: string): string =>
    `  ${text.padEnd(44)} ${style.dim(about)}\n`;
  await terminal.out(
    [
      `${style.bold(name)} is in ${folder}\n`,
      line(file, 'the sessions: edit this'),
      line(manifest, 'outputs, parameters, limits'),
      line(path.join(folder, 'tsconfig.json'), 'types, so that an editor completes'),
      '\nTest it:\n',
      line(
        `${cabstand} module test ${quoted(folder)}`,
        'runs sessions, kills them, tells what breaks',
      ),
      '\nServe it, and call it from another terminal:\n',
      line(`${cabstand} serve ${quoted(folder)}`, 'loads it; says how it is called'),
      line(`${cabstand} infer --model ${name}`, 'draws its frames; takes its commands'),
    ].join(''),
  );
}
