import type { ServerCall } from '@cabstand/rpc';
import { checkAhead } from '@cabstand/sessions';
import type { ResumeSpec, TurnContent } from '@cabstand/sessions';
import type { HandlerContext } from './context';

interface Opening {
  readonly id: string | undefined;
  readonly model: string;
  readonly resume: ResumeSpec | undefined;
  /** Of the turn that the call starts, where it starts one. */
  readonly content?: TurnContent;
}

/**
 * Looks at what a call brings before a session is opened or found for it. Undefined where it is so small
 * that the session may look at it itself.
 */
export function lookAhead(
  context: HandlerContext,
  call: Pick<ServerCall, 'principal'>,
  opening: Opening,
): Promise<void> | undefined {
  const { id, resume, content } = opening;
  const turns = resume?.turns ?? (content === undefined ? [] : [{ content, parts: [] }]);
  return checkAhead(turns, {
    signature: signatureFor(context, call, opening),
    digests: id !== undefined,
  });
}

/** Undefined where the call is refused anyhow. */
function signatureFor(
  { sessions, host }: HandlerContext,
  call: Pick<ServerCall, 'principal'>,
  { id, model }: Opening,
): ReturnType<HandlerContext['host']['resolve']>['signature'] | undefined {
  try {
    const known = id !== undefined && sessions.knows(id, call.principal.id);
    return (known ? sessions.find(id, call.principal.id).model : host.resolve(model)).signature;
  } catch {
    return undefined;
  }
}
