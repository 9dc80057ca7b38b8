import type { Command } from 'commander';
import type { v1 } from '@cabstand/rpc';
import type { CliContext } from '../context';
import { list } from '../arguments';
import { jsonLine } from '../render/json';
import { nodesTable } from '../render/nodes';
import { withConnection, withRouterFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';

interface NodesFlags extends SubnetFlags {
  readonly watch?: true;
  readonly json?: true;
  readonly model?: readonly string[];
}

/** `cabstand nodes`. */
export function registerNodes(program: Command, context: CliContext): void {
  const command = program
    .command('nodes')
    .summary('the hosters of a subnet, their state and their models')
    .description(
      'Lists the hosters that the router knows: state, reasons, models, free slots, address; a narrow terminal shows fewer columns. FREE is 61+3/64: of 64 slots, 61 are free for new sessions, and 3 are kept for sessions that go on from another hoster. A version that takes no new sessions has its state there: failed (`cabstand info` says why), loading, or draining until the sessions that it serves are gone.',
    )
    .option('--model <name>', 'only hosters with this model', list)
    .option('--watch', 'go on, and print the list when something changes')
    .option('--json', 'one JSON object per line and node (with --watch: per change)');
  withRouterFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand nodes
  $ cabstand nodes --watch --model silero-vad
  $ cabstand nodes --json | jq -r 'select(.state == "ONLINE").address'`,
    )
    .action((flags: NodesFlags) => nodes(context, flags));
}

async function nodes(context: CliContext, flags: NodesFlags): Promise<void> {
  const { terminal } = context;
  const print = async (found: readonly v1.NodeInfo__Output[]): Promise<void> => {
    if (flags.json === true) {
      if (flags.watch === true) await terminal.out(jsonLine({ nodes: found.map(nodeJson) }));
      else await terminal.out(found.map((node) => jsonLine(nodeJson(node))).join(''));
    } else if (found.length === 0) await terminal.out('no hosters\n');
    else {
      // A pipe gets all columns.
      const width = terminal.interactive ? terminal.columns : Infinity;
      await terminal.out(nodesTable(found, terminal.style, Date.now(), width));
    }
  };
  await withConnection(context, flags, 'client', async (connection) => {
    if (flags.watch !== true) return print(await connection.nodes(flags.model));
    for await (const found of connection.watch(flags.model ?? [])) {
      // A person sees the list change in place.
      if (terminal.interactive) await terminal.out('\u001b[H\u001b[J');
      else if (flags.json !== true) await terminal.out(`${new Date().toISOString()}\n`);
      await print(found);
    }
  });
}

function nodeJson(node: v1.NodeInfo__Output): Record<string, unknown> {
  return {
    node_id: node.node_id,
    address: node.address,
    incarnation: node.incarnation,
    state: node.state.replace('NODE_STATE_', ''),
    reasons: node.state_reasons,
    version: node.version,
    open_sessions: node.load?.open_sessions ?? 0,
    models: node.models.map((model) => ({
      name: model.name,
      version: model.version,
      digest: model.digest,
      kind: model.kind,
      provider: model.provider,
      batch_class: model.batch_class.replace('BATCH_CLASS_', '').toLowerCase(),
      reference: model.reference,
      capacity: model.capacity,
      free_slots: loadOf(node, model.name)?.free_slots ?? null,
      resume_slots: loadOf(node, model.name)?.resume_slots ?? null,
    })),
    other_models: node.other_models.map(({ name, version, state }) => ({
      name,
      version,
      state: state.replace('MODEL_STATE_', '').toLowerCase(),
    })),
  };
}

function loadOf(node: v1.NodeInfo__Output, name: string): v1.ModelLoad__Output | undefined {
  return node.load?.models.find(({ model }) => model === name);
}
