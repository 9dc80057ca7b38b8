import type { Command } from 'commander';
import type { CliContext } from '../context';
import { registerModuleInit } from './module-init';
import { registerModuleRecord, registerModuleReplay } from './module-replay';
import { registerModuleTest } from './module-test';

/** `cabstand module`: for authors of modules, without a subnet. */
export function registerModule(program: Command, context: CliContext): void {
  const module = program
    .command('module')
    .summary('write a model whose sessions are code of yours')
    .description(
      'For authors of modules: models whose sessions are TypeScript or JavaScript. No subnet is needed.',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand module init waves                       a module that runs as it is, in models/waves
  $ cabstand module test waves                       runs sessions of it, kills them, tells what breaks
  $ cabstand module record waves waves.jsonl         a session, to be run again …
  $ cabstand module replay waves.jsonl               … by the code as it is after a change`,
    );
  registerModuleInit(module, context);
  registerModuleTest(module, context);
  registerModuleRecord(module, context);
  registerModuleReplay(module, context);
}
