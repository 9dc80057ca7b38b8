import type { Command } from 'commander';
import { CabstandError } from '@cabstand/core';
import type { Connection } from '../subnet/connection';
import type { CliContext } from '../context';
import { timeOption } from '../arguments';
import { withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';

interface LoadFlags extends SubnetFlags {
  readonly modelVersion?: string;
  readonly deadline: number;
}

const LOAD_TIMEOUT_MS = 300_000;
const UNLOAD_DEADLINE_MS = 60_000;

/** `cabstand load`. */
export function registerLoad(program: Command, context: CliContext): void {
  const command = program
    .command('load <model>')
    .summary('load a model, or its newest version, while serving')
    .description(
      'Makes hosters load a model of their repository (admin): all that are online, or --hoster. New sessions get the new version; running ones keep theirs.',
    )
    .option('--model-version <version>', 'this version (default: the newest in the repository)');
  withSubnetFlags(command, LOAD_TIMEOUT_MS)
    .addHelpText('after', '\nExample:\n  $ cabstand load g2p --hoster 127.0.0.1:50051')
    .action((model: string, flags: LoadFlags) =>
      onHosters(context, flags, async (connection, address) => {
        context.terminal.note(`${address}: loading and verifying ${model} …\n`);
        const { model: loaded } = await connection.loadModel(
          address,
          model,
          flags.modelVersion ?? '',
          flags.timeout,
        );
        const version = loaded?.offer?.version ?? '?';
        const state = loaded?.state.replace('MODEL_STATE_', '').toLowerCase() ?? '?';
        return `${model} v${version} is ${state} on ${loaded?.offer?.provider ?? '?'}`;
      }),
    );
}

/** `cabstand unload`. */
export function registerUnload(program: Command, context: CliContext): void {
  const command = program
    .command('unload <model>')
    .summary('let the sessions of a model end, then free it')
    .description('Makes hosters unload a model (admin): all that have it, or --hoster.')
    .option('--model-version <version>', 'only this version (default: all)')
    .addOption(
      timeOption(
        '--deadline <time>',
        'how long its sessions may take before they are ended',
        UNLOAD_DEADLINE_MS,
      ),
    );
  withSubnetFlags(command)
    .addHelpText('after', '\nExample:\n  $ cabstand unload g2p --deadline 30s')
    .action((model: string, flags: LoadFlags) =>
      onHosters(context, { ...flags, having: model }, async (connection, address) => {
        const { models } = await connection.info(address, [model]);
        if (models.length === 0)
          throw new CabstandError('MODEL_NOT_HERE', `${model} is not loaded at ${address}`);
        context.terminal.note(`${address}: waiting for the sessions of ${model} to end …\n`);
        const { ended_sessions: ended } = await connection.unloadModel(
          address,
          model,
          flags.modelVersion ?? '',
          flags.deadline,
        );
        return `${model} is unloaded${ended === 0 ? '' : `; ${ended} sessions were ended`}`;
      }),
    );
}

/** On the hoster that was named, or one after another on all that are online (and have a model). */
async function onHosters(
  context: CliContext,
  flags: SubnetFlags & { readonly having?: string },
  act: (connection: Connection, address: string) => Promise<string>,
): Promise<void> {
  await withConnection(context, flags, 'admin', async (connection, named) => {
    const targets = named === undefined ? await online(connection, flags.having) : [named];
    if (targets.length === 0) context.terminal.note('no hoster is online\n');
    for (const address of targets)
      await context.terminal.out(`${address}: ${await act(connection, address)}\n`);
  });
}

/** @throws CabstandError MODEL_NOT_HERE where there are hosters, and none has the model. */
async function online(connection: Connection, having: string | undefined): Promise<string[]> {
  const nodes = (await connection.nodes()).filter(({ state }) => state !== 'NODE_STATE_OFFLINE');
  const chosen = nodes.filter(
    ({ models, other_models }) =>
      having === undefined || [...models, ...other_models].some(({ name }) => name === having),
  );
  if (nodes.length > 0 && chosen.length === 0)
    throw new CabstandError('MODEL_NOT_HERE', `${having ?? ''} is not loaded by any hoster`);
  return chosen.map(({ address }) => address);
}
