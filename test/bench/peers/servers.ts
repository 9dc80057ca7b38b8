/** The servers that are compared, each started on the core of servers and kept for the whole run. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Subnet, freePorts, until } from '@cabstand/testing';
import { MODEL, MODEL_FILE } from './clips';
import { PYTHON_FILES, peerPackages, tritonPackages } from './environment';
import type { Dialect } from './messages';
import type { Scope } from './scope';
import { ServerProcess } from './server-process';

/** Most rows of a run: what manifests say where they say nothing, */
export const CABSTAND_ROWS = 16;
/** and what suits the model best. */
export const PEER_ROWS = 64;
/** Memory that Triton shares with its Python process: it need not grow within a trial. */
const SHARED_BYTES = 128 * 2 ** 20;
const READY_MS = 90_000;

export interface Server {
  readonly name: string;
  /** Cabstand itself is no peer. */
  readonly peer: boolean;
  readonly address: string;
  readonly dialect: Dialect;
  /** Frames that may share a run. */
  readonly rows: number;
  /** Of its processes; those that descend from them belong to it, too. */
  readonly pids: readonly number[];
  /** Its last words, once it has ended. */
  readonly ended: () => string | undefined;
}

/** A server, or several that are one with different callers. */
export interface Group {
  readonly names: readonly string[];
  start(scope: Scope): Promise<readonly Server[]>;
}

/** Slots for new sessions, and as many again for those of the trial before that are about to end. */
export function cabstandLimits(streams: number): Readonly<Record<string, number>> {
  return { max_sessions_per_model: 2 * Math.max(streams, 32) };
}

export function groups(mostStreams: number): readonly Group[] {
  return [
    {
      names: ['Cabstand', 'Cabstand, durable'],
      async start(scope) {
        const subnet = scope.use(
          await Subnet.start({
            hosters: 1,
            auth: 'none',
            hosterConfig: { only: [MODEL], limits: cabstandLimits(mostStreams) },
          }),
        );
        const address = subnet.hosters[0]?.address ?? '';
        const ended = (): undefined => undefined;
        const pids = [...subnet.hosters, ...subnet.routers].map(({ child }) => child.pid);
        const same = { peer: false, address, rows: CABSTAND_ROWS, pids, ended };
        return [
          { ...same, name: 'Cabstand', dialect: 'cabstand' },
          { ...same, name: 'Cabstand, durable', dialect: 'cabstand-durable' },
        ];
      },
    },
    python('Python, threads', 'threads'),
    python('Python, asyncio', 'asyncio'),
    python('Python, batched', 'batches'),
    { names: ['Triton'], start: startTriton },
  ];
}

/** @param how as server.py names it: one call to ONNX Runtime for each frame, but for `batches` */
function python(name: string, how: 'threads' | 'asyncio' | 'batches'): Group {
  return {
    names: [name],
    async start(scope) {
      const { program } = await peerPackages();
      const [port = 0] = await freePorts(1);
      const args = [path.join(PYTHON_FILES, 'server.py'), MODEL_FILE, String(port), how];
      const server = scope.use(new ServerProcess(program, args));
      await listening(name, server, port);
      return [peer(name, 'voice', how === 'batches' ? PEER_ROWS : 1, server, port)];
    },
  };
}

function peer(
  name: string,
  dialect: Dialect,
  rows: number,
  server: ServerProcess,
  port: number,
): Server {
  return {
    name,
    peer: true,
    address: `127.0.0.1:${String(port)}`,
    dialect,
    rows,
    pids: [server.pid],
    ended: () => (server.running ? undefined : server.output),
  };
}

async function startTriton(scope: Scope): Promise<readonly Server[]> {
  const packages = await tritonPackages();
  const [port = 0] = await freePorts(1);
  // It reads its models where it may write beside them.
  const models = mkdtempSync(path.join(tmpdir(), 'cabstand-triton-'));
  scope.defer(() => rmSync(models, { recursive: true, force: true }));
  cpSync(path.join(PYTHON_FILES, 'triton'), models, { recursive: true });
  const server = scope.use(
    new ServerProcess(
      path.join(packages.server, 'bin/tritonserver'),
      [
        `--model-repository=${models}`,
        `--backend-directory=${path.join(packages.server, 'backends')}`,
        `--grpc-port=${String(port)}`,
        '--grpc-address=127.0.0.1',
        `--backend-config=python,shm-default-byte-size=${String(SHARED_BYTES)}`,
        // With its default version 2.51 ends with a segmentation fault at 256 streams.
        '--grpc-infer-allocation-pool-size=4096',
        '--allow-http=false',
        '--allow-metrics=false',
      ],
      {
        BENCH_SITE_PACKAGES: packages.sitePackages,
        BENCH_MODEL: MODEL_FILE,
        LD_LIBRARY_PATH: [packages.libraries, process.env['LD_LIBRARY_PATH'] ?? ''].join(':'),
      },
    ),
  );
  await listening('Triton', server, port);
  return [peer('Triton', 'triton', PEER_ROWS, server, port)];
}

/** Both servers listen only once the model is loaded. */
export async function listening(name: string, server: ServerProcess, port: number): Promise<void> {
  await until(
    `${name} to listen`,
    async () => {
      if (!server.running) return false;
      return (await accepts(port)) ? true : undefined;
    },
    { timeoutMs: READY_MS, explain: () => server.output },
  );
  if (!server.running) throw new Error(`it ended: ${server.output}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
