import { CabstandError, FakeClock } from '@cabstand/core';
import { createRouterCore } from '../core';
import { HOSTER, beat, join } from '../core.fixture';
import { toNodeDetail, toNodeInfo } from '../handlers/convert';
import { addressRefused } from '../registry/refusals';
import { kindOfFailure } from './failure';

test.each([
  [new CabstandError('NODE_UNREACHABLE', 'connect ECONNREFUSED 10.0.0.1:22'), 'connection refused'],
  [new CabstandError('DEADLINE_EXCEEDED', 'the health check of 10.0.0.1:22'), 'no answer in time'],
  [new CabstandError('NODE_UNREACHABLE', '10.0.0.1:22 says SSH-2.0-OpenSSH'), 'unreachable'],
  [addressRefused('a:1', 'a is 127.0.0.1'), 'its address is not allowed'],
])('%s', (error, kind) => {
  expect(kindOfFailure(error)).toBe(kind);
});

test.each(['SUSPECT', 'OFFLINE'])(
  'only administrators are told what the probe of a node that is %s met',
  async (kind) => {
    const clock = new FakeClock();
    const banner = '10.0.0.1:22 says SSH-2.0-OpenSSH_9';
    let down = false;
    const probe = (): Promise<void> =>
      down ? Promise.reject(new Error(banner)) : Promise.resolve();
    const core = createRouterCore({ clock, settleMs: 0 }, { prober: { probe } });
    join(core, 'a');
    await clock.advance(0);
    down = true;
    core.report({ nodeId: 'a', incarnation: '', leaseId: '', reason: 'NODE_STALLED' }, 'alice');
    if (kind === 'SUSPECT') await clock.advance(10);
    else await clock.advance(3000);
    const node = core.nodes.get('a');
    if (node === undefined) throw new Error('no node');
    expect(node.state.kind).toBe(kind);
    const told = toNodeInfo(node).state_reasons ?? [];
    expect(told.join()).toContain('unreachable');
    expect(told.join()).not.toContain('SSH');
    const all = [...told, `the last probe met: ${banner}`];
    expect(toNodeDetail(node).state_reasons).toEqual(all);
    down = false;
    for (let second = 0; second < 5; second++) {
      core.heartbeat(beat('a'), HOSTER);
      await clock.advance(1000);
    }
    expect(toNodeDetail(node).state_reasons).toEqual([]);
    core.stop(new CabstandError('DRAINING', 'the router is stopping'));
  },
);
