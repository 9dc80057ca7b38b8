/** The models of test/models/cases behind a hoster, and what their callers get. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type {
  CabstandError,
  Chunk,
  HosterInfo,
  Session,
  Tensor,
  TensorInput,
} from '@cabstand/client';
import { HosterService } from '@cabstand/rpc';
import { Subnet, TEST_MODELS, scrape, total, until } from '@cabstand/testing';
import { TestClient } from '../client';
import { RawClient, within } from '../raw';
import { Direct } from './direct';
import { writeKin } from './kin';
import type { Kin } from './kin';

type ModelInfo = HosterInfo['models'][number];

/** Another folder with models of the same names can be put in the place of ours. */
const CASES = process.env.CASES_DIR ?? path.join(TEST_MODELS, 'cases');

/** How many callers come at once. */
export const CALLERS = 8;
/** How often they do, where one joint run is waited for, or where there must be none. */
const ROUNDS = 25;

function copyWithoutGolden(name: string, folder: string): void {
  const to = path.join(folder, `${name}-here`);
  cpSync(path.join(CASES, name), to, {
    recursive: true,
    filter: (file) => !file.endsWith('golden.json'),
  });
  const manifest = path.join(to, 'model.yaml');
  const text = readFileSync(path.join(CASES, name, 'model.yaml'), 'utf8');
  writeFileSync(
    manifest,
    text.replace(/^name: .*$/m, `name: ${name}-here`).replace(/^golden: .*$/m, ''),
  );
}

/** A hoster with some of the cases and models of their kind, and its client. */
export class Served implements AsyncDisposable {
  readonly #folder: string;
  readonly #kin: ReadonlySet<string>;
  readonly #subnet: Subnet;
  readonly #client: TestClient;

  private constructor(folder: string, kin: ReadonlySet<string>, subnet: Subnet) {
    this.#folder = folder;
    this.#kin = kin;
    this.#subnet = subnet;
    this.#client = new TestClient(subnet);
  }

  /**
   * Waits until each model is served or refused; `info` says which.
   *
   * @param here cases whose right answers are this processor's own, as those of integer products are: without VNNI they
   *   saturate. They are served as `NAME-here`, without golden data of another machine.
   */
  static async start(
    names: readonly string[],
    kin: readonly Kin[] = [],
    here: readonly string[] = [],
  ): Promise<Served> {
    const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-kin-'));
    try {
      for (const one of kin) await writeKin(folder, one);
      for (const name of here) copyWithoutGolden(name, folder);
      const made = [...kin.map(({ name }) => name), ...here.map((name) => `${name}-here`)];
      const only = [...names, ...made, ALWAYS];
      const subnet = await Subnet.start({
        hosters: 1,
        hosterConfig: { models: [CASES, folder, TEST_MODELS], only },
      });
      return new Served(folder, new Set(made), subnet);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** What the hoster says of a model once it is settled. */
  async info(model: string): Promise<ModelInfo> {
    const [hoster] = this.#subnet.hosters;
    if (hoster === undefined) throw new Error('no hoster');
    return await until(
      `${model} to be settled`,
      async () => {
        const { models } = await this.#client.remote.info(hoster.address);
        const info = models.find(({ name }) => name === model);
        return info?.state === 'ready' || info?.state === 'failed' ? info : undefined;
      },
      { explain: () => hoster.child.output },
    );
  }

  /** What the hoster says of a model that must be served. */
  async ready(model: string): Promise<ModelInfo> {
    const info = await this.info(model);
    if (info.state !== 'ready') throw new Error(`${model} is not served: ${info.failure}`);
    return info;
  }

  /** Why its rows run alone, as the hoster tells; empty where they need not. */
  async batchingNote(model: string): Promise<string> {
    using client = new RawClient(this.#subnet);
    const request = { models: [model] };
    const { models } = await client.hoster.unary(HosterService.rpc_info, request, within);
    const [info] = models;
    if (info === undefined) throw new Error(`rpc_info does not list ${model}`);
    return info.batching_note;
  }

  /** The lines of the hoster's log that name a model. */
  log(model: string): string {
    const lines = this.#subnet.hosters.flatMap(({ child }) => child.output.split('\n'));
    return lines.filter((line) => line.includes(`"${model}"`)).join('\n');
  }

  /** What a call to a model that must not be served is refused with. */
  async refusal(model: string): Promise<CabstandError> {
    await this.info(model);
    using client = new RawClient(this.#subnet);
    return await client.refusal({ model });
  }

  direct(model: string): Promise<Direct> {
    return Direct.of(path.join(this.#kin.has(model) ? this.#folder : CASES, model));
  }

  session(model: string): Session {
    return this.#client.session(model);
  }

  /** One turn of a session of its own. */
  async turn(model: string, input: TensorInput): Promise<Chunk[]> {
    await using session = this.session(model);
    return await chunksOf(session, input);
  }

  /** The one record of a turn without state. */
  async record(model: string, input: TensorInput): Promise<Chunk> {
    return only(await this.turn(model, input));
  }

  /**
   * Callers at once, each in a session of its own, again and again; with each result at most once the
   * model has run for several of them together, unless it never does.
   *
   * @param check is given the number of the caller and what it got
   */
  async crowd(
    model: string,
    inputs: readonly TensorInput[],
    check: (caller: number, chunks: Chunk[]) => void,
  ): Promise<{ readonly turns: number; readonly runs: number; readonly joint: number }> {
    const sessions = inputs.map(() => this.session(model));
    const before = await this.#runs(model);
    let turns = 0;
    let now = before;
    try {
      for (let round = 0; round < ROUNDS && now.joint === before.joint; round += 1) {
        const results = await Promise.all(
          sessions.map((session, caller) => chunksOf(session, inputs[caller] ?? {})),
        );
        turns += results.length;
        for (const [caller, chunks] of results.entries()) check(caller, chunks);
        now = await this.#runs(model);
      }
    } finally {
      await Promise.all(sessions.map((session) => session.close()));
    }
    return { turns, runs: now.runs - before.runs, joint: now.joint - before.joint };
  }

  /** Steps of the model's engine, and how many of them were for several callers. */
  async #runs(model: string): Promise<{ readonly runs: number; readonly joint: number }> {
    const [hoster] = this.#subnet.hosters;
    const series = await scrape(hoster?.admin ?? '');
    const runs = total(series, 'cabstand_batch_size_count', { model });
    const alone = total(series, 'cabstand_batch_size_bucket', { model, le: '1' });
    return { runs, joint: runs - alone };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.#subnet.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A model that any hoster can serve: it is there even if all others are refused. */
const ALWAYS = 'accumulator';

export async function chunksOf(session: Session, input: TensorInput): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of session.runProtocolTask(undefined, input)) chunks.push(chunk);
  return chunks;
}

export function only(chunks: readonly Chunk[]): Chunk {
  const [first] = chunks;
  if (first === undefined || chunks.length > 1)
    throw new Error(`${chunks.length} records instead of one`);
  return first;
}

/** The outputs of a record, by name. */
export function outputsOf({ tensors }: Chunk): Record<string, Tensor> {
  return Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor]));
}
