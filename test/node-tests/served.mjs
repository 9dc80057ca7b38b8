// `cabstand serve` of a repository without a manifest, and calls to its models by the client library.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { freePortRange } = require('@cabstand/testing');
const { insecureLocal } = require('@cabstand/auth');
const { RemoteManager, SessionManager } = require('@cabstand/client');

const CLI = fileURLToPath(new URL('../../libs/cli/dist/main.js', import.meta.url));
/** A model that is neither served nor refused by then hangs; so does a call. */
const LOAD_MS = 120_000;
const CALL_MS = 20_000;
const POLL_MS = 100;
/** Waits between tries end as soon as the process does. */
const STOP_MS = 15_000;

export class Served {
  #child;
  #output = '';
  #remote;
  #sessions;
  #hoster;

  /** @param folder of this run: keys and logs */
  static async start(repository, folder) {
    const served = new Served();
    const [port, adminPort] = [await freePortRange(2), await freePortRange(2)];
    served.#hoster = `127.0.0.1:${port + 1}`;
    const places = ['--port', `${port}`, '--admin-port', `${adminPort}`, '--data', folder];
    const args = [CLI, 'serve', repository, '--no-auth', '--drain', '1s', ...places];
    served.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [served.#child.stdout, served.#child.stderr])
      stream.on('data', (text) => (served.#output += text));
    const authorizer = insecureLocal();
    served.#remote = new RemoteManager({ routers: [`127.0.0.1:${port}`], authorizer });
    served.#sessions = new SessionManager(served.#remote);
    return served;
  }

  /** What was printed so far. */
  get output() {
    return this.#output;
  }

  /** The models by name, once each is refused, or served and known to the router; or hangs. */
  async models(names) {
    const deadline = Date.now() + LOAD_MS;
    for (let models = new Map(); ;) {
      const info = await this.#remote.info(this.#hoster).catch(() => undefined);
      if (info !== undefined) models = new Map(info.models.map((model) => [model.name, model]));
      const nodes = await this.#remote.nodes().catch(() => []);
      const offered = new Set(nodes.flatMap((node) => node.models.map(({ name }) => name)));
      const settled = names.every((name) => {
        const state = models.get(name)?.state;
        return state === 'failed' || (state === 'ready' && offered.has(name));
      });
      if (settled || Date.now() > deadline) return models;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        const end = this.#child.signalCode ?? this.#child.exitCode;
        throw new Error(`cabstand serve ended with ${end}:\n${this.#output.slice(-4000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The one record of a turn: its tensors in the order of the model's outputs. */
  async call(model, tensors) {
    const session = this.#sessions.session({ model: model.name });
    try {
      const inputs = tensors.map((tensor, at) => ({ ...tensor, name: model.inputs[at].name }));
      const signal = AbortSignal.timeout(CALL_MS);
      const records = [];
      for await (const record of session.runProtocolTask(undefined, inputs, { signal }))
        records.push(record);
      if (records.length !== 1) throw new Error(`${records.length} records`);
      return model.outputs.map(({ name }) => records[0].tensor(name));
    } finally {
      await session.close();
    }
  }

  async stop() {
    await this.#sessions.close();
    await this.#remote.close();
    if (this.#child.exitCode === null) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGINT');
      const patience = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
      await gone;
      clearTimeout(patience);
    }
  }
}

/** Where models of one name each go: `<repository>/<name>/1/model.onnx`. */
export function placeOf(repository, name) {
  return path.join(repository, name, '1', 'model.onnx');
}
