import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { createStyle } from '../render/style';
import { Steering } from './steering';
import type { Steered } from './steering';

const seed = {
  ...{ name: 'seed', description: 'Begins again.', result: '' },
  arguments: '{"properties":{"seed":{"type":"integer"}},"required":["seed"]}',
};

function steered(outcome: () => Promise<unknown>, commands = [seed]) {
  const [sent, said]: [unknown[], string[]] = [[], []];
  let cancelled = 0;
  const session: Steered = {
    command: (...command) => {
      sent.push(command);
      return outcome();
    },
    cancelTurn: async () => {
      cancelled++;
    },
  };
  const model = { commands } as unknown as v1.ModelInfo__Output;
  const steering = new Steering(session, model, createStyle(false), (text) => said.push(text));
  return { steering, sent, said, cancelled: () => cancelled };
}

test('a line is sent as a command, and its result is said', async () => {
  const { steering, sent, said } = steered(async () => ({ frame: 3 }));
  await steering.line('seed seed=7');
  expect(sent).toEqual([['seed', { seed: 7 }]]);
  expect(said).toEqual(['seed: {"frame":3}\n']);
});

test('a refusal is said with its reason, and nothing is thrown', async () => {
  const { steering, said } = steered(() =>
    Promise.reject(new CabstandError('COMMAND_INVALID', 'seed: got "x", expected an integer')),
  );
  await steering.line('seed seed=x');
  expect(said.join('')).toMatch(/^seed: got "x", expected an integer \(COMMAND_INVALID\)\n/);
  await steering.line('seed {');
  expect(said.at(-1)).toMatch(/no JSON/);
});

test('what a module answers cannot move the cursor', async () => {
  const { steering, said } = steered(() => Promise.reject(new Error('\u001b[2J')));
  await steering.line('seed seed=7');
  expect(said).toEqual(['\ufffd[2J\n']);
});

test('help lists commands with their arguments, and an empty line is nothing', async () => {
  const { steering, sent, said } = steered(async () => undefined);
  await steering.line('  ');
  await steering.line('help');
  expect(sent).toEqual([]);
  expect(said.join('')).toMatch(/^ {2}seed +seed=integer +Begins again\.$/m);
});

test('stop is a command like others; an interrupt cancels the turn, once', async () => {
  const { steering, sent, cancelled } = steered(async () => ({ stopped: true }));
  await steering.line('stop');
  expect([sent, cancelled()]).toEqual([[['stop', {}]], 0]);
  expect([steering.stop(), steering.stop(), cancelled()]).toEqual([true, false, 1]);
});
