import { parseArgs } from 'node:util';
import { benchFailover } from './failover';
import { benchFairness } from './fairness/main';
import { benchHandOuts } from './handouts';
import { benchIdle } from './idle';
import { benchPause } from './pause/main';
import { benchServed } from './served';
import { machine } from './report';
import { benchStampede } from './stampede';

const HELP = `Usage: npm run bench -- [what…] [--pairs N] [--seconds S] [--only TEXT]

Benchmarks that print ratios from one run: what is served beside the raw loop, interleaved.

  served      records a second over the raw loop, cost and time of a record
  handouts    time of a hand-out with 10, 1,000 and 10,000 nodes
  idle        bytes of a session that does nothing
  failover    gaps that an application sees when hosters, engines and routers die
  pause       what a live stream hears of others' large messages, valid and refused
  stampede    a hoster dies under 200 clients: time until all their streams flow again
  fairness    what a client notices when another one does its worst (--seconds 15: p99 needs some)
  (nothing)   the first three

  --pairs N     interleaved pairs for each case (default 7)
  --seconds S   length of a round (default 2)
  --only TEXT   only served, pause, fairness or failover cases whose name contains TEXT
  --trials N    failures of each kind (default 12)
  --streams N   streams that failures strike (default 8)`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      pairs: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string', default: '' },
      trials: { type: 'string', default: '12' },
      streams: { type: 'string', default: '8' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  console.log(machine());
  const wants = (name: string): boolean => positionals.length === 0 || positionals.includes(name);
  if (wants('served'))
    await benchServed({
      pairs: Number(values.pairs),
      seconds: Number(values.seconds),
      only: values.only,
    });
  if (wants('handouts')) benchHandOuts();
  if (wants('idle')) await benchIdle();
  if (positionals.includes('failover'))
    await benchFailover({
      trials: Number(values.trials),
      streams: Number(values.streams),
      only: values.only,
    });
  if (positionals.includes('pause'))
    await benchPause({
      pairs: Number(values.pairs),
      seconds: Number(values.seconds),
      only: values.only,
    });
  if (positionals.includes('fairness'))
    await benchFairness({ seconds: Number(values.seconds), only: values.only });
  if (positionals.includes('stampede')) await benchStampede();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
