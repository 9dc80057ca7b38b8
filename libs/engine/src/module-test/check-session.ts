/** Whether a session runs as it should: gives what is declared, answers commands, keeps a state that lasts. */
import { RecordField } from '../frames/module-frames';
import type { CommandDescription } from '../frames/module-frames';
import type { RecordItem } from '../frames/module-frames';
import { MOST_RECORDS } from './bench';
import type { Bench } from './bench';
import type { EngineChild } from './engine-child';
import { bodyOf } from './record-body';
import type { Recording, Sent } from './record-session';
import { count, failed, open, passed } from './report';
import type { Finding } from './report';
import { sampleArguments } from './sample-arguments';

const FROZEN = /read only property|not extensible|Cannot (add|delete|define) property/;

/** Every declared command, as often as its schema has different arguments. */
export function commandsOf(described: readonly CommandDescription[]): Sent[] {
  return described.flatMap(({ name, arguments: schema }) =>
    sampleArguments(schema).map((args) => ({ name, arguments: args })),
  );
}

export function checkSession(bench: Bench, engine: EngineChild, recording: Recording): Finding[] {
  const { trial, records } = recording;
  const failure = trial.gone !== undefined || trial.end?.reason === 'error';
  if (failure) return [brokenSession(bench, engine, recording)];
  const made = [
    [RecordField.chunk, 'frame'],
    [RecordField.message, 'message'],
  ] as const;
  const counts = made
    .map(([field, name]) => [records.filter((record) => record.field === field).length, name])
    .filter(([number]) => number !== 0)
    .map(([number, name]) => count(Number(number), String(name)));
  if (counts.length > 0) {
    const how =
      trial.end === undefined
        ? records.length >= MOST_RECORDS
          ? 'and there is more'
          : 'and it still runs'
        : `then it ${trial.end.reason}`;
    return [passed('session', `${counts.join(' and ')} as model.yaml declares them, ${how}`)];
  }
  if (trial.end !== undefined)
    return [
      open(
        'session',
        `it ended, and gave nothing: ${count(records.length, 'record')} of what it was given`,
        'A session should emit or send something.',
      ),
    ];
  return [
    failed(
      'session',
      'it gives no frame and no message',
      'What does it wait for? Commands, live input (live: true) and time are all that a session can wait for.',
    ),
  ];
}

/** Of one that ended with an error. */
export function brokenSession(
  bench: Bench,
  engine: EngineChild,
  { trial, records }: Recording,
): Finding {
  const why = bench.why(trial, engine);
  const after = `after ${count(records.length, 'record')}`;
  const error = trial.end?.reason === 'error' ? trial.end.error : undefined;
  if (/the state cannot be kept/.test(why)) return failed('state', why, STATE_ADVICE);
  if (error?.metadata.problem === 'output')
    return failed(
      'session',
      `${after}: ${why}`,
      'Emit what model.yaml declares under outputs, or declare there what is emitted.',
    );
  if (FROZEN.test(why))
    return failed(
      'session',
      `${after}: ${why}`,
      'All sessions share the instance, which is frozen after load: keep what belongs to one session in ctx.state.',
    );
  return failed('session', `${after}: ${why}`);
}

const STATE_ADVICE =
  'Keep plain data in ctx.state (numbers, texts, arrays, typed arrays, Map, Set), or give the module snapshot() and restore().';

/** Whether what is kept in checkpoints comes back as it was. */
export function checkState(
  bench: Bench,
  engine: EngineChild,
  { snapshots, trial }: Recording,
): Finding[] {
  const { survival } = bench.manifest.module ?? {};
  const lossy = engine.logs.find(({ message }) => /does not come back as it is/.test(message));
  if (lossy !== undefined) return [failed('state', lossy.message, STATE_ADVICE)];
  const largest = Math.max(...snapshots.map(({ data }) => data.length));
  if (snapshots.length > 0)
    return [passed('state', `plain data, a checkpoint has ${largest} bytes at most`)];
  if (survival === 'none' || trial.gone !== undefined || trial.end?.reason === 'error') return [];
  return [
    open(
      'state',
      'no checkpoint was to be had',
      'Call await ctx.checkpoint() at the top of the loop: after a loss a session is computed again from there.',
    ),
  ];
}

/** What became of the commands that were sent. */
export function checkCommands(
  bench: Bench,
  engine: EngineChild,
  described: readonly CommandDescription[],
  { records, sent, trial }: Recording,
): Finding[] {
  if (described.length === 0) return [];
  const untried = described.filter(
    ({ name, arguments: schema }) =>
      !sent.some((one) => one.name === name) && sampleArguments(schema).length === 0,
  );
  const findings = untried.map(({ name }) =>
    open(
      'commands',
      `${name} was not tried: no arguments could be made from its schema`,
      'Give its schema examples: [ … ].',
    ),
  );
  const answers = answersIn(records);
  const good = new Set<string>();
  for (const { number, name, arguments: args } of sent) {
    const answer = answers.get(number);
    const call = `${name} ${JSON.stringify(args)}`;
    if (answer === undefined) {
      if (!trial.over)
        findings.push(
          failed(
            'commands',
            `${call} was not answered`,
            'Commands are carried out within calls of ctx: await ctx.idle(0), or any other, in the loop.',
          ),
        );
    } else if (answer.kind === 'result') good.add(name);
    else if (answer.reason === 'COMMAND_FAILED')
      findings.push(
        failed(
          'commands',
          `${call} failed: ${bench.told(answer.message, engine, trial.sequence)}`,
          'Throw an Error with the name CommandError and a code to refuse a command.',
        ),
      );
    else findings.push(open('commands', `${call} was refused: ${answer.message}`));
  }
  if (good.size > 0)
    findings.unshift(passed('commands', `${[...good].join(', ')}: applied and answered`));
  return findings;
}

function answersIn(records: readonly RecordItem[]) {
  const bodies = records
    .filter(({ field }) => field === RecordField.result)
    .map((record) => bodyOf(record));
  return new Map(
    bodies.flatMap((body) =>
      body.kind === 'result' || body.kind === 'refused' ? [[body.number, body] as const] : [],
    ),
  );
}
