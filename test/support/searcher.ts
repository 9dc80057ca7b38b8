/** Sessions of test/modules/searcher.ts. */
import type { SessionManager } from '@cabstand/client';
import { drain } from './drain';
import type { ModuleModel } from './module-models';

export const SEARCHER: ModuleModel = {
  program: 'searcher.ts',
  manifest: {
    ...{ survival: 'replay', prompt: true, messages: { found: {} } },
    inputs: { x: { dtype: 'uint8', shape: ['n'] } },
    outputs: { y: { dtype: 'uint8', shape: [4096] } },
    parameters: { purpose: { dtype: 'bool', default: false } },
  },
};

/** What one session finds of those before it. @param purpose it looks where its author keeps things, too */
export async function searched(
  sessions: SessionManager,
  number: number,
  purpose = false,
): Promise<unknown> {
  await using session = sessions.session({ model: 'searcher' });
  const told: unknown[] = [];
  session.on('message', ({ message }) => told.push(message));
  const own = `passenger-${String(number)}`;
  const input = { x: Buffer.from(own) };
  const parameters = { purpose };
  const chunks = await drain(session.runProtocolTask(own, input, { parameters }));
  if (chunks !== 1 || told.length !== 1) throw new Error(`${own} was not served`);
  return told[0];
}
