import type { Command } from 'commander';
import type { CliContext } from '../context';
import { registerModelCheck } from './model-check';

/** `cabstand model`: a repository's models, without a subnet. */
export function registerModel(program: Command, context: CliContext): void {
  const model = program
    .command('model')
    .summary('check the models of a repository, without a subnet')
    .description('Works on model repositories; no subnet is needed.')
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand model check models                      all that a hoster would find wrong, at once`,
    );
  registerModelCheck(model, context);
}
