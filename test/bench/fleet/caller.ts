/** A process that asks a router for hosters at a fixed pace, whatever its answers take. */
import { RouterService } from '@cabstand/rpc';
import { MODEL } from './model';
import type { CallerJob, FromCaller, ToCaller, Used } from './messages';
import { call, dial, framed } from './wire';

const TELL_EACH_MS = 100;
const TICK_MS = 1;
const PING_MS = 1000;
/** How long answers are waited for after the last call. */
const REST_MS = 2000;

function tell(message: FromCaller): void {
  process.send?.(message);
}

function run({ router, perSecond, seconds }: CallerJob): void {
  let session = dial(router, () => PING_MS);
  const method = RouterService.rpc_acquire;
  const request = framed(method.request.encode({ model: MODEL }));
  const times: number[] = [];
  let used: Used[] = [];
  let refused = 0;
  let why = '';
  const begun = performance.now();
  let sent = 0;
  let open = 0;

  const acquire = (due: number): void => {
    let answered = false;
    open++;
    // The router gives up a connection whose pings this process was too busy to answer.
    if (session.destroyed || session.closed) session = dial(router, () => PING_MS);
    const stream = call(session, method.info.path, {
      message: (bytes) => {
        answered = true;
        times.push(performance.now() - due);
        const { lease } = method.response.decode(bytes);
        if (lease?.node) used.push([lease.node.node_id, lease.lease_id]);
      },
      ended: (status) => {
        open--;
        if (answered) return;
        refused++;
        why = status;
      },
    });
    stream.end(request);
  };

  const telling = setInterval(() => tell({ used: used.splice(0) }), TELL_EACH_MS);
  const ticking = setInterval(() => {
    const now = performance.now() - begun;
    const due = Math.min(now, seconds * 1000) * (perSecond / 1000);
    // A late timer of this process is not the router's: a call is timed from when it is sent.
    for (; sent < due; sent++) acquire(performance.now());
    if (now < seconds * 1000 || (open > 0 && now < seconds * 1000 + REST_MS)) return;
    clearInterval(ticking);
    clearInterval(telling);
    tell({ used });
    used = [];
    session.close();
    tell({ times, refused: refused + open, why });
  }, TICK_MS);
}

process.on('message', ({ run: job }: ToCaller) => run(job));
