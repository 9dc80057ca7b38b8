import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { CabstandError } from '@cabstand/core';
import { exampleTurns, listModels, loadManifest } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';
import type { v1 } from '@cabstand/rpc';
import { timeOption, wholeNumber } from '../arguments';
import type { CliContext } from '../context';
import { checkManifests } from '../doctor/models';
import { signatureOf } from '../media/model-signature';
import { serveGuide } from '../render/serve-guide';
import { findModels } from '../served/find';
import type { LooseModel } from '../served/find';
import { ModuleCopy } from '../served/module-copy';
import { Reloads } from '../served/reload';
import { asFound, makeRepository } from '../served/repository';
import { Connection } from '../subnet/connection';
import { findCredentials, rpcOptions } from '../subnet/credentials';
import { makeDataFolder } from '../subnet/data-folder';
import type { ServedModels } from '../subnet/configs';
import { addressOf } from '../subnet/layout';
import type { SubnetLayout } from '../subnet/layout';
import { runLocal } from '../subnet/run-local';
import { claimPlaces } from '../subnet/served-places';
import { tell } from '../subnet/tell';
import { version } from '../version';

interface ServeFlags {
  readonly name?: string;
  readonly hosters: number;
  readonly port?: number;
  readonly adminPort?: number;
  readonly data: string;
  readonly auth: boolean;
  readonly drain: number;
}

const DRAIN_MS = 2000;
const LOAD_MS = 300_000;
const MOST_HOSTERS = 32;

/** `cabstand serve`. */
export function registerServe(program: Command, context: CliContext): void {
  program
    .command('serve <path>')
    .summary('serve a model of your own: an ONNX file, a folder, a repository')
    .description(
      'Starts a router and a hoster on loopback that serve what lies at PATH, says how to call it, and stays until Ctrl-C. No manifest is needed: what the ONNX file says is enough.',
    )
    .option('--name <name>', 'the name that callers use; default: from the file or folder')
    .option('--hosters <n>', 'how many hosters', wholeNumber(1, MOST_HOSTERS), 1)
    .option(
      '--port <port>',
      'the router\u2019s port; hosters have the next ones (default: free ones from 50050)',
      wholeNumber(1, 65_000),
    )
    .option(
      '--admin-port <port>',
      'the same for metrics and health (default: free ones from 8050)',
      wholeNumber(1, 65_000),
    )
    .option('--data <dir>', 'keys, configuration and logs', '.cabstand')
    .option('--no-auth', 'without authentication: every process of this machine may call')
    .addOption(
      timeOption('--drain <time>', 'how long running sessions may take at the end', DRAIN_MS),
    )
    .addHelpText(
      'after',
      `
PATH is one of
  model.onnx                         a file, with external data beside it
  folder/*.onnx                      a model for each file
  name/<version>/*.onnx              a model with versions, with or without name/model.yaml
  folder/name/<version>/*.onnx       a repository, as Triton has them too

A module that is saved is loaded beside what runs: new sessions get the new code, those that run keep theirs.
Files stay where they are and as they are. Ends with 1 when nothing can be served, with the reason.
\`cabstand model add\` keeps a model in a repository, and says what its manifest could add.

Examples:
  $ cabstand serve model.onnx
  $ cabstand serve exported/ --name sentiment
  $ cabstand serve /srv/triton-models --hosters 2 --port 51050`,
    )
    .action((where: string, flags: ServeFlags) => serve(context, where, flags));
}

async function serve(context: CliContext, where: string, flags: ServeFlags): Promise<void> {
  const { terminal } = context;
  const found = await findModels(where, flags.name);
  makeDataFolder(flags.data);
  using places = await claimPlaces(flags);
  const { layout, moved, run } = places;
  tell(context, 'cabstand', `${version()}, serves ${where}`);
  if (moved) tell(context, 'ports', `${layout.router.port} and on: the usual ones are taken`);
  const models: ServedModels =
    found.kind === 'repository'
      ? { repository: found.repository, only: found.models.map(({ name }) => name) }
      : await linkedModels(path.join(realpathSync(run), 'models'), found.models);
  const watched =
    found.kind === 'repository'
      ? await watchedModules(path.join(realpathSync(run), 'modules'), found.models)
      : undefined;
  if (found.kind === 'loose' && found.leftOut.length > 0)
    tell(
      context,
      'left out',
      `${found.leftOut.map((folder) => path.basename(folder)).join(', ')}: folders of models beside the files; serve each by its own path`,
    );
  const named = (message: string): string => {
    if (found.kind === 'loose') return asFound(message, models.repository, found.models);
    return watched === undefined
      ? message
      : message.replaceAll(watched.repository, found.repository);
  };
  await requireSome(models, named);
  let reloads: Reloads | undefined;
  await runLocal(context, {
    places: layout,
    // Of several repositories the first that has a name gives it.
    models:
      watched === undefined
        ? models
        : { ...models, repository: watched.repository, linked: [models.repository] },
    auth: flags.auth,
    drainMs: flags.drain,
    // For trying things out: an engine that dies takes a second longer to come back.
    spares: 0,
    named,
    whenUp: async (connection) => {
      const [hoster] = layout.hosters;
      if (hoster === undefined) return;
      const info = await connection.info(addressOf(hoster));
      const ready = info.models
        .filter(({ state }) => state === 'MODEL_STATE_READY')
        .sort((a, b) => nameOf(a).localeCompare(nameOf(b), 'en'));
      const examples = ready.map((model) => ({
        model,
        inputs: exampleTurns(signatureOf(model), { count: 1 })[0]?.inputs,
      }));
      const save = (name: string, text: string): string => saveRequest(run, name, text);
      await terminal.out(serveGuide(examples, layout, flags.auth, terminal.style, save));
      if (watched === undefined) return;
      reloads = await reloadOnSave(context, watched.copies, layout, flags.auth, named);
    },
  }).finally(() => reloads?.stop());
}

/** Copies of the modules among the models; undefined where there are none. Those that are wrong are told by hosters. */
async function watchedModules(
  repository: string,
  models: readonly ModelEntry[],
): Promise<{ repository: string; copies: readonly ModuleCopy[] } | undefined> {
  await rm(repository, { recursive: true, force: true });
  const copies: ModuleCopy[] = [];
  for (const { name, folder, variant } of models) {
    if (variant !== undefined) continue;
    const manifest = await loadManifest(folder, undefined, { digest: false }).catch(
      () => undefined,
    );
    if (manifest?.module !== undefined)
      copies.push(await ModuleCopy.make(repository, { name, folder }));
  }
  return copies.length === 0 ? undefined : { repository, copies };
}

/** Has hosters load what is saved, until the subnet stops. */
async function reloadOnSave(
  context: CliContext,
  copies: readonly ModuleCopy[],
  layout: SubnetLayout,
  auth: boolean,
  named: (message: string) => string,
): Promise<Reloads> {
  const rpc = rpcOptions(
    auth
      ? findCredentials({ credentials: layout.keys }, {}, 'admin')
      : { auth: { mode: 'none' }, tls: undefined, source: 'none' },
  );
  const { signal } = context.terminal;
  const routers = [addressOf(layout.router)];
  const connection = new Connection({ routers, rpc, timeoutMs: LOAD_MS, signal });
  signal.addEventListener('abort', () => connection.close(), { once: true });
  const reloads = new Reloads({
    copies,
    load: async (name, version) => {
      const loading = layout.hosters.map((hoster) =>
        connection.loadModel(addressOf(hoster), name, version, LOAD_MS),
      );
      for (const one of await Promise.allSettled(loading))
        if (one.status === 'rejected') throw one.reason;
    },
    tell: (what) => {
      if (!signal.aborted) tell(context, 'reload', named(what));
    },
  });
  await reloads.start();
  const folders = copies.map(({ source }) => path.relative('', source) || '.').join(', ');
  tell(context, 'reload', `on save: what is saved in ${folders} is loaded beside what runs`);
  return reloads;
}

async function linkedModels(
  repository: string,
  models: readonly LooseModel[],
): Promise<ServedModels> {
  const linked = await makeRepository(repository, models);
  // What else lies where links lead is not served.
  const only =
    linked.length === 0 ? undefined : (await listModels(repository)).map(({ name }) => name);
  return { repository, only, linked };
}

function nameOf({ offer }: v1.ModelInfo__Output): string {
  return offer?.name ?? '';
}

/** Manifests that are wrong need no subnet to be found. Throws when there is nothing else. */
async function requireSome(
  { repository, only }: ServedModels,
  named: (message: string) => string,
): Promise<void> {
  const findings = await checkManifests(repository, only);
  const broken = findings.filter(({ status }) => status === 'fail');
  if (broken.length < findings.length) return;
  const reasons = broken.map(({ message }) => `\n  ${named(message).replaceAll('\n', '\n  ')}`);
  throw new CabstandError('MODEL_FAILED', `no model can be served:${reasons.join('')}`);
}

function saveRequest(run: string, name: string, text: string): string {
  const file = path.join(run, 'requests', name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}
