import { attach, bench, content, expectEmpty, open } from '../session-bench.fixture';

const LIMIT = 1000;

test.each(['call', 'durable'] as const)(
  'a record beyond the message limit ends its turn and not its session (%s)',
  async (retention) => {
    const b = bench({ messageBytes: LIMIT });
    const session = await open(b, { retention });
    const reader = attach(session);
    session.startTurn(0, content());
    const engine = b.host.model.last;
    engine.step(100);
    engine.step(LIMIT);
    expect(engine.cancelled).toBe(0);
    // What the engine does before it hears of it.
    engine.cancelled = undefined;
    engine.step(100);
    engine.cancelled = 0;
    expect(reader.kinds).toBe('c');
    engine.step();
    expect(reader.kinds).toBe('ce');
    const said = reader.entries.at(-1)?.bytes.toString('latin1') ?? '';
    expect(said).toContain('MESSAGE_TOO_LARGE');
    expect(said).toMatch(/the record at position 1 .* 1000 bytes.*the session goes on/);
    // It says the truth.
    session.startTurn(1, content());
    engine.step(100);
    engine.finish();
    expect(reader.kinds).toBe('cece');
    session.close({ reason: 'completed' });
    expectEmpty(b);
  },
);

test('a session that nobody reads when its record cannot be sent waits as between turns', async () => {
  const b = bench({ messageBytes: LIMIT, idleTimeoutMs: 5000 });
  const session = await open(b);
  const reader = attach(session);
  session.startTurn(0, content());
  b.host.model.last.step(LIMIT);
  reader.attachment?.detach('cancelled');
  b.host.model.last.step();
  attach(session, 0).attachment?.detach('cancelled');
  await b.clock.advance(5000);
  expectEmpty(b);
});
