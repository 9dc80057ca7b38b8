/** A process with many simulated hosters: real connections and streams, no models. */
import { createServer } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { backoffDelay } from '@cabstand/core';
import { RouterService, fromDuration } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { MODEL, SLOTS } from './model';
import type { FleetCounts, FleetJob, ToFleet } from './messages';
import { call, counts, dial, framed } from './wire';

const FIRST_PERIOD_MS = 1000;
/** A connection is pinged once a period, and at least so often. */
const LONGEST_PING_MS = 10_000;

const told = { beats: 0, answers: 0, bytes: 0 };
/** The period that the router wants now; the last one to hear of it speaks for all. */
let wantedMs = FIRST_PERIOD_MS;

/** Connections to the router, made anew when they break. */
class Connections {
  readonly #sessions: (ClientHttp2Session | undefined)[];

  constructor(
    private readonly address: string,
    size: number,
  ) {
    this.#sessions = Array.from({ length: size }, () => undefined);
  }

  of(hoster: number): ClientHttp2Session {
    const at = hoster % this.#sessions.length;
    const known = this.#sessions[at];
    if (known !== undefined && !known.destroyed && !known.closed) return known;
    const session = dial(this.address, () => Math.min(LONGEST_PING_MS, wantedMs));
    this.#sessions[at] = session;
    return session;
  }
}

/** Registers, sends heartbeats, and starts over when its stream ends, as hosters do. */
class SimulatedHoster {
  readonly nodeId: string;
  readonly #incarnation: string;
  readonly #used: string[] = [];
  #stream: ClientHttp2Stream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #periodMs = FIRST_PERIOD_MS;
  #failures = 0;
  #free = SLOTS;
  /** The next heartbeat is the first of a stream. */
  #isFirst = true;

  constructor(
    private readonly number: number,
    private readonly address: string,
    private readonly connections: Connections,
    private readonly changing: number,
  ) {
    this.nodeId = `node-${String(number)}`;
    this.#incarnation = `start-${String(number)}`;
  }

  used(lease: string): void {
    this.#used.push(lease);
  }

  register(): void {
    const request = {
      address: this.address,
      models: [
        {
          name: MODEL,
          version: '1',
          digest: `sha256:${'0'.repeat(64)}`,
          batch_class: 'BATCH_CLASS_EXACT' as const,
          provider: 'cpu',
          capacity: SLOTS,
          kind: 'stateful',
          reference: 'golden',
        },
      ],
      version: '1',
      incarnation: this.#incarnation,
      node_id: this.nodeId,
    };
    const method = RouterService.rpc_register;
    let answer: v1.RegisterResponse__Output | undefined;
    const stream = call(this.connections.of(this.number), method.info.path, {
      message: (bytes) => (answer = method.response.decode(bytes)),
      ended: (status) => {
        if (answer === undefined) this.#again(status);
        else this.#beat(answer);
      },
    });
    stream.end(framed(method.request.encode(request)));
  }

  #again(status: string): void {
    if (this.#failures === 5) console.error(`${this.nodeId} could not register: ${status}`);
    const delay = backoffDelay(this.#failures++, { initialMs: 100, maxMs: this.#periodMs });
    setTimeout(() => this.register(), delay);
  }

  #beat(answer: v1.RegisterResponse__Output): void {
    this.#failures = 0;
    this.#setPeriod(answer.heartbeat_period);
    const method = RouterService.rpc_heartbeat;
    this.#stream = call(this.connections.of(this.number), method.info.path, {
      message: (bytes) => {
        told.answers++;
        this.#setPeriod(method.response.decode(bytes).heartbeat_period);
      },
      ended: (status) => {
        clearTimeout(this.#timer);
        this.#stream = undefined;
        this.#again(status);
      },
    });
    this.#isFirst = true;
    this.#send();
  }

  #setPeriod(period: v1.RegisterResponse__Output['heartbeat_period']): void {
    this.#periodMs = wantedMs = fromDuration(period) ?? this.#periodMs;
  }

  #send(): void {
    const isNews = this.#isFirst || Math.random() < this.changing;
    if (isNews) this.#free = Math.floor(Math.random() * SLOTS);
    this.#isFirst = false;
    const load = {
      models: [{ model: MODEL, free_slots: this.#free, step_seconds: 0.001 * Math.random() }],
      open_sessions: SLOTS - this.#free,
      event_loop_lag_seconds: 0.001 * Math.random(),
    };
    const bytes = framed(
      RouterService.rpc_heartbeat.request.encode({
        node_id: this.nodeId,
        incarnation: this.#incarnation,
        ...(isNews && { load }),
        consumed_lease_ids: this.#used.splice(0),
      }),
    );
    told.beats++;
    told.bytes += bytes.length;
    this.#stream?.write(bytes);
    this.#timer = setTimeout(() => this.#send(), this.#periodMs);
  }
}

/** Answers every health check at every address of this machine: `127.x.y.z:port` are as many as there are hosters. */
function serveHealth(): Promise<number> {
  const server = createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    // status: SERVING
    stream.end(framed(Buffer.from([8, 1])));
  });
  return new Promise((resolve) => {
    server.listen(0, '0.0.0.0', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

async function start(job: FleetJob): Promise<SimulatedHoster[]> {
  const port = await serveHealth();
  const connections = new Connections(job.router, job.connections);
  return Array.from({ length: job.count }, (_, i) => {
    const number = job.first + i;
    const address = `127.${String(1 + (number >> 16))}.${String((number >> 8) & 255)}.${String(number & 255)}`;
    const hoster = new SimulatedHoster(
      number,
      `${address}:${String(port)}`,
      connections,
      job.changing,
    );
    // Those of a real fleet do not start in one moment either.
    setTimeout(() => hoster.register(), Math.random() * FIRST_PERIOD_MS);
    return hoster;
  });
}

let hosters = new Map<string, SimulatedHoster>();

async function onMessage(message: ToFleet): Promise<void> {
  if ('start' in message) {
    const started = await start(message.start);
    hosters = new Map(started.map((hoster) => [hoster.nodeId, hoster]));
    process.send?.({ started: true });
  } else if ('used' in message) {
    for (const [node, lease] of message.used) hosters.get(node)?.used(lease);
  } else {
    process.send?.({ ...told, ...counts } satisfies FleetCounts);
    Object.assign(told, { beats: 0, answers: 0, bytes: 0 });
    counts.pings = 0;
  }
}

process.on('message', (message: ToFleet) => void onMessage(message));
