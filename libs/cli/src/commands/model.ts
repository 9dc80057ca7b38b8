import type { Command } from 'commander';
import type { CliContext } from '../context';
import { registerModelAdd } from './model-add';
import { registerModelCheck } from './model-check';
import { registerModelGolden } from './model-golden';

/** `cabstand model`: a repository's models, without a subnet. */
export function registerModel(program: Command, context: CliContext): void {
  const model = program
    .command('model')
    .summary('add a model to a repository, check it, make its golden data')
    .description('Works on model repositories; no subnet is needed.')
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand model add net.onnx --name mine          copies it to models/mine and writes its manifest
  $ cabstand model check models                      all that a hoster would find wrong, at once
  $ cabstand model golden mine --input x=x.npy       what it answers, to be compared from now on`,
    );
  registerModelAdd(model, context);
  registerModelCheck(model, context);
  registerModelGolden(model, context);
}
