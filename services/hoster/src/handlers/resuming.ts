/** Calls that go on with a session which this hoster may not have. */
import { CabstandError, breathe, invalid } from '@cabstand/core';
import type { ServerCall, v1 } from '@cabstand/rpc';
import type { LivePart } from '../sessions/live-input';
import type { PlannedTurn, ResumeSpec } from '../sessions/resume';
import type { Session } from '../sessions/session';
import type { OpenRequest } from '../sessions/sessions';
import type { TurnContent } from '../sessions/types';
import type { HandlerContext } from './context';
import { checkModel, openSession } from './opening';
import { parseContent, parseTensors } from './parse';

const MOST_TURNS = 10_000;
/** Entries that are parsed in one go. */
const SLICE = 500;

export interface Continued {
  readonly session: Session;
  /** This call made it: it does not outlive the call's failure. */
  readonly opened: boolean;
}

/** The first position that the consumer lacks. */
export const nextOf = ({ delivered }: ResumeSpec): number => delivered + 1;

/** Takes over the session where this hoster has it, and otherwise opens it as it was. */
export async function continueSession(
  context: HandlerContext,
  call: ServerCall,
  request: Omit<OpenRequest, 'principal'> & { readonly id: string; readonly resume: ResumeSpec },
  ticket: string,
): Promise<Continued> {
  const { id, epoch, resume } = request;
  const here = context.sessions.resumable(id, call.principal.id, epoch, resume);
  if (here !== undefined) {
    checkModel(request.model, here.model);
    return { session: here, opened: false };
  }
  return { session: await openSession(context, call, request, ticket), opened: true };
}

/** `own`: the turn's input where the call itself carries it. */
export async function parseResume(
  resume: v1.Resume__Output,
  own?: { readonly turn: number; readonly content: TurnContent },
): Promise<ResumeSpec> {
  if (resume.replay.length > MOST_TURNS)
    throw invalid(
      'LIMIT_EXCEEDED',
      'resume.replay',
      `${resume.replay.length} entries`,
      `at most ${MOST_TURNS}`,
    );
  const { checkpoint } = resume;
  if (
    checkpoint !== null &&
    !(Number.isSafeInteger(checkpoint.position) && checkpoint.position >= 0)
  )
    throw invalid(
      'POSITION_INVALID',
      'resume.checkpoint.position',
      checkpoint.position,
      'a whole number of at least 0',
    );
  if (own !== undefined && own.turn !== resume.turn)
    throw invalid('INVALID_ARGUMENT', 'resume.turn', resume.turn, `the call's turn ${own.turn}`);
  return {
    checkpoint:
      checkpoint === null
        ? undefined
        : { position: checkpoint.position, sealed: checkpoint.sealed },
    delivered: resume.delivered_position,
    turn: resume.turn,
    turns: withOwn(await turnsOf(resume.replay), own),
  };
}

/** Groups what is to be replayed by turn; in slices, where it is much. */
async function turnsOf(replay: readonly v1.Replay__Output[]): Promise<PlannedTurn[]> {
  const turns: { turn: number; input: v1.TurnInput__Output; parts: LivePart[] }[] = [];
  for (const [index, entry] of replay.entries()) {
    if (index % SLICE === SLICE - 1) await breathe();
    const last = turns.at(-1);
    if (entry.what === 'input' && entry.input)
      turns.push({ turn: entry.turn, input: entry.input, parts: [] });
    else if (entry.what === 'live_input' && entry.live_input && last?.turn === entry.turn) {
      const { sequence, inputs, last: isLast } = entry.live_input;
      last.parts.push({ part: sequence, tensors: parseTensors(inputs), last: isLast });
    } else if (entry.what === 'command')
      throw new CabstandError('COMMAND_UNKNOWN', 'resume.replay: no model here has commands');
    else
      throw invalid(
        'INVALID_ARGUMENT',
        'resume.replay',
        entry.what ?? 'nothing',
        'the input of a turn, followed by its parts',
      );
  }
  return turns.map(({ turn, input, parts }) => ({
    turn,
    content: parseContent(input, parts.length > 0),
    parts,
  }));
}

function withOwn(
  turns: PlannedTurn[],
  own: { readonly turn: number; readonly content: TurnContent } | undefined,
): PlannedTurn[] {
  if (own === undefined || turns.some(({ turn }) => turn === own.turn)) return turns;
  return [...turns, { ...own, parts: [] }];
}
