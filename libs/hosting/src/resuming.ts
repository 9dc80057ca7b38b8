/** Calls that go on with a session which this hoster may not have. */
import { breathe, invalid } from '@cabstand/core';
import type { ServerCall, v1 } from '@cabstand/rpc';
import { givenAt } from '@cabstand/sessions';
import type {
  Given,
  LivePart,
  OpenRequest,
  PlannedTurn,
  ResumeSpec,
  Session,
  TurnContent,
} from '@cabstand/sessions';
import { tensorsFromWire } from '@cabstand/tensor';
import type { HandlerContext } from './context';
import { checkModel, openSession } from './opening';
import { parseContent } from './parse';

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
  const { turns, given } = await parseReplay(resume.replay);
  return {
    checkpoint:
      checkpoint === null
        ? undefined
        : { position: checkpoint.position, sealed: checkpoint.sealed },
    delivered: resume.delivered_position,
    turn: resume.turn,
    turns: withOwn(turns, own),
    given,
    chain: resume.chain,
    servedEpoch: resume.served_epoch,
  };
}

/** Groups what is to be replayed by turn; in slices, where it is much. */
async function parseReplay(
  replay: readonly v1.Replay__Output[],
): Promise<{ readonly turns: PlannedTurn[]; readonly given: Given[] }> {
  const given: Given[] = [];
  const turns: { turn: number; input: v1.TurnInput__Output; parts: LivePart[] }[] = [];
  for (const [index, entry] of replay.entries()) {
    if (index % SLICE === SLICE - 1) await breathe();
    const last = turns.at(-1);
    if (entry.what === 'input' && entry.input)
      turns.push({ turn: entry.turn, input: entry.input, parts: [] });
    else if (entry.what === 'live_input' && entry.live_input && last?.turn === entry.turn) {
      const { part, inputs, last: isLast } = entry.live_input;
      last.parts.push({ part, tensors: tensorsFromWire(inputs), last: isLast });
    } else if (entry.what === 'record' && entry.record) given.push(givenBy(entry.record));
    else
      throw invalid(
        'INVALID_ARGUMENT',
        'resume.replay',
        entry.what ?? 'nothing',
        'the input of a turn, followed by its parts and what its module was given',
      );
  }
  return {
    turns: turns.map(({ turn, input, parts }) => ({
      turn,
      content: parseContent(input, parts.length > 0),
      parts,
    })),
    given,
  };
}

/** What the author of a module was given, by the record that says so. */
function givenBy({ position, point, applied, input, recorded }: v1.Record__Output): Given {
  if (applied) {
    const { sequence: number, name, arguments: json } = applied;
    const entry = { kind: 'command', number, name, arguments: json, point } as const;
    return givenAt(position, entry, json.length);
  }
  if (input) return givenAt(position, { kind: 'part', part: input.part, point }, 0);
  if (recorded) {
    const { name, json } = recorded;
    return givenAt(position, { kind: 'value', name, json, point }, json.length);
  }
  throw invalid(
    'INVALID_ARGUMENT',
    'resume.replay.record',
    'another body',
    'an applied command, an applied input or a recorded value',
  );
}

function withOwn(
  turns: PlannedTurn[],
  own: { readonly turn: number; readonly content: TurnContent } | undefined,
): PlannedTurn[] {
  if (own === undefined || turns.some(({ turn }) => turn === own.turn)) return turns;
  return [...turns, { ...own, parts: [] }];
}
