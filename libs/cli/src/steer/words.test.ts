import { commandArguments, typedCommand } from './words';

test.each([
  ['pause', { name: 'pause', args: {} }],
  ['  seed {"seed": 7} ', { name: 'seed', args: { seed: 7 } }],
  ['set_prompt prompt=ocean', { name: 'set_prompt', args: { prompt: 'ocean' } }],
  ['set prompt=deep blue sea n=3', { name: 'set', args: { prompt: 'deep blue sea', n: 3 } }],
  ['set a="x=1" b=true', { name: 'set', args: { a: 'x=1', b: true } }],
])('%s is a command', (line, command) => expect(typedCommand(line)).toEqual(command));

test.each([
  ['seed {"seed": 7', /no JSON/],
  ['seed 7', /7 is no argument/],
  ['prompt=ocean', /no name of a command/],
])('%s is refused', (line, message) => expect(() => typedCommand(line)).toThrow(message));

test('words of a shell are taken one by one', () => {
  expect(commandArguments(['prompt=deep blue', 'n=3'])).toEqual({ prompt: 'deep blue', n: 3 });
  expect(commandArguments(['{"n": 3}'])).toEqual({ n: 3 });
  expect(() => commandArguments(['{"n": 3}', 'm=2'])).toThrow(/no argument/);
});
