import type { v1 } from '@cabstand/rpc';
import { exampleCommands } from './examples';

const commands = (schema: object | undefined): string[] =>
  exampleCommands({
    commands: [
      {
        ...{ name: 'set', description: '', result: '' },
        arguments: schema === undefined ? '' : JSON.stringify(schema),
      },
    ],
  } as unknown as v1.ModelInfo__Output);

test.each([
  [{ properties: { c: { enum: ['ocean', 'fire'] } } }, ['set {"c":"fire"}', 'set {"c":"ocean"}']],
  [{ properties: { n: { default: 7 } }, required: ['n'] }, ['set {"n":7}']],
  [{ properties: { n: { default: 7 }, text: {} } }, ['set {"n":7}']],
  [{ examples: [{ n: 1 }, { n: 2 }, { n: 3 }] }, ['set {"n":1}', 'set {"n":2}']],
])('%j gives commands', (schema, lines) => expect(commands(schema)).toEqual(lines));

test('what a schema does not tell is not made up', () => {
  const needs = { properties: { n: { default: 7 }, text: { type: 'string' } }, required: ['text'] };
  expect([commands(needs), commands({}), commands(undefined)]).toEqual([[], [], []]);
});
