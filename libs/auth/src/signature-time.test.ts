import { FakeClock } from '@cabstand/core';
import { StaticKeySet } from './keys';
import { failure, incoming, member, outgoing } from './keys.fixture';
import { SignatureAuthorizer } from './signature';
import { alice, keys, setup } from './signature.fixture';

describe('time', () => {
  test.each([-3600_000, -60_001, 1001, 60_001, 3600_000])(
    'a clock %d ms off is named with the server’s time, and corrected once',
    async (ahead) => {
      const { receive, clock, signer } = setup({}, ahead);
      const error = await failure(() => receive(outgoing()));
      expect(error.reason).toBe('CLOCK_SKEW');
      expect(error.metadata['server_time_ms']).toBe(String(clock.now()));
      await expect(signer.refresh(error)).resolves.toBe(true);
      await expect(receive(outgoing())).resolves.toMatchObject({ id: 'alice' });
    },
  );

  test('the correction is for the server that asked for it', async () => {
    const { receive, signer } = setup({}, 3600_000);
    await signer.refresh(await failure(() => receive(outgoing())));
    expect(
      (await failure(() => receive(outgoing({ audience: 'router.example:50050' })))).reason,
    ).toBe('CLOCK_SKEW');
  });

  test('a correction beyond a day is not believed', async () => {
    const { receive, signer } = setup({}, -25 * 3600_000);
    await expect(signer.refresh(await failure(() => receive(outgoing())))).resolves.toBe(false);
  });

  test('an error without the time of the server teaches nothing', async () => {
    const { receive, signer } = setup();
    const error = await failure(() => receive(outgoing({ audience: 'x:1' })));
    await expect(signer.refresh(error)).resolves.toBe(false);
  });

  test('nothing that was taken before a restart is taken after it, whatever the time', async () => {
    for (const aheadMs of [-59_000, -1, 0, 1, 500, 1000]) {
      const { verifier, signer, clock } = setup({}, aheadMs);
      const request = outgoing();
      const once = incoming(request, await signer.signRequest(request));
      await verifier.validateRequest(once);
      await clock.advance(1);
      const restarted = new SignatureAuthorizer({
        verify: { keys, audiences: [request.audience] },
        clock,
      });
      for (let passed = 0; passed <= 70_000; passed += 500) {
        expect((await failure(() => restarted.validateRequest(once))).reason).toBe('CLOCK_SKEW');
        await clock.advance(500);
      }
    }
  });

  test.each([-5000, -1, 0, 1, 900, 5000])(
    'a server that has just started costs a clock %d ms off one correction',
    async (ahead) => {
      const clock = new FakeClock();
      const clientClock = new FakeClock(clock.now() + ahead);
      const restarted = new SignatureAuthorizer({
        verify: { keys, audiences: [outgoing().audience] },
        clock,
      });
      const signer = new SignatureAuthorizer({ key: alice.mine, clock: clientClock });
      const send = async () => {
        const request = outgoing();
        return restarted.validateRequest(incoming(request, await signer.signRequest(request)));
      };
      await signer.refresh(await failure(send));
      await expect(send()).resolves.toMatchObject({ id: 'alice' });
      for (let passed = 0; passed < 5000; passed += 250) {
        await Promise.all([clock.advance(250), clientClock.advance(250)]);
        await send();
      }
    },
  );

  test('a key is good between its not-before and not-after only', async () => {
    const clock = new FakeClock();
    const at = clock.now();
    const short = member('short', { notBefore: at + 1000, notAfter: at + 2000 });
    const verifier = new SignatureAuthorizer({
      verify: {
        keys: new StaticKeySet([short.known]),
        audiences: ['127.0.0.1:50050'],
        aheadMs: 0,
      },
      clock,
    });
    const signer = new SignatureAuthorizer({ key: short.mine, clock });
    const receive = async () => {
      const request = outgoing();
      return verifier.validateRequest(incoming(request, await signer.signRequest(request)));
    };
    expect((await failure(receive)).message).toContain('not valid before');
    await clock.advance(1500);
    await receive();
    await clock.advance(1000);
    const error = await failure(receive);
    expect(error.reason).toBe('CREDENTIALS_EXPIRED');
    expect(error.message).toContain('retired');
  });

  test('during a rotation both keys speak for the principal', async () => {
    const clock = new FakeClock();
    const old = member('alice-1', { principal: 'alice', notAfter: clock.now() + 1000 });
    const young = member('alice-2', { principal: 'alice' });
    const verifier = new SignatureAuthorizer({
      verify: {
        keys: new StaticKeySet([old.known, young.known]),
        audiences: ['127.0.0.1:50050'],
        aheadMs: 0,
      },
      clock,
    });
    for (const key of [old.mine, young.mine]) {
      const request = outgoing();
      const headers = await new SignatureAuthorizer({ key, clock }).signRequest(request);
      await expect(verifier.validateRequest(incoming(request, headers))).resolves.toMatchObject({
        id: 'alice',
      });
    }
  });
});

describe('replay', () => {
  test('the same request twice is a replay, within the whole window', async () => {
    const { verifier, signer, clock } = setup();
    const request = outgoing();
    const once = incoming(request, await signer.signRequest(request));
    await verifier.validateRequest(once);
    for (const step of [0, 1000, 58_000, 1000]) {
      await clock.advance(step);
      expect((await failure(() => verifier.validateRequest(once))).reason).toBe(
        'CREDENTIALS_REPLAYED',
      );
    }
    await clock.advance(1);
    expect((await failure(() => verifier.validateRequest(once))).reason).toBe('CLOCK_SKEW');
  });

  test('a replay is refused after the clock went back, too', async () => {
    const clock = new FakeClock();
    let setBack = 0;
    const verifier = new SignatureAuthorizer({
      verify: { keys, audiences: ['127.0.0.1:50050'], aheadMs: 0 },
      clock: {
        now: () => clock.now() - setBack,
        monotonic: () => clock.monotonic(),
        setTimer: (callback, delay) => clock.setTimer(callback, delay),
      },
    });
    const signer = new SignatureAuthorizer({ key: alice.mine, clock });
    const request = outgoing();
    const once = incoming(request, await signer.signRequest(request));
    await clock.advance(10);
    await verifier.validateRequest(once);
    await clock.advance(3600_000);
    // Lets the verifier forget the nonce.
    const later = outgoing();
    await verifier.validateRequest(incoming(later, await signer.signRequest(later)));
    setBack = 3600_000;
    expect((await failure(() => verifier.validateRequest(once))).reason).toBe('CLOCK_SKEW');
    // And goes on serving: an hour of refusals would be an outage.
    const slow = new SignatureAuthorizer({
      key: alice.mine,
      clock: new FakeClock(clock.now() - setBack),
    });
    const fresh = outgoing();
    await verifier.validateRequest(incoming(fresh, await slow.signRequest(fresh)));
  });

  test('a forged request does not use up the nonce', async () => {
    const { verifier, signer } = setup();
    const request = outgoing();
    const headers = await signer.signRequest(request);
    await failure(() =>
      verifier.validateRequest(incoming(request, headers, { body: Buffer.from('forged') })),
    );
    await verifier.validateRequest(incoming(request, headers));
  });

  test('a full nonce cache refuses rather than forgets', async () => {
    const { receive, verifier, signer, clock, clientClock } = setup({ maxNonces: 3 });
    const first = outgoing();
    const once = incoming(first, await signer.signRequest(first));
    await verifier.validateRequest(once);
    await receive(outgoing());
    await receive(outgoing());
    const error = await failure(() => receive(outgoing()));
    expect(error.reason).toBe('RATE_LIMITED');
    expect(error.metadata['limited_by']).toBe('nonces');
    expect((await failure(() => verifier.validateRequest(once))).reason).toBe(
      'CREDENTIALS_REPLAYED',
    );
    await Promise.all([
      clock.advance(error.retryAfterMs ?? 0),
      clientClock.advance(error.retryAfterMs ?? 0),
    ]);
    await receive(outgoing());
  });
});
