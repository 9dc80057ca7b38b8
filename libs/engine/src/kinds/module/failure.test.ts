import { publicMessage, stackOf } from './failure';

const odd = new Error('odd');
odd.stack = 7 as unknown as string;
const mute = Object.defineProperty(new Error(), 'message', {
  get: () => {
    throw new Error('no');
  },
});

test.each<[string, unknown]>([
  ['an object without a prototype', Object.create(null)],
  ['a text that throws', { toString: () => String(Object.create(null)) }],
  ['a message that throws', mute],
  ['a symbol', Symbol('s')],
  ['nothing', undefined],
])('whatever an author throws can be told: %s', (_, thrown) => {
  expect(publicMessage(thrown)).toMatch(/^thrown: ./);
  expect(stackOf(thrown)).toMatch(/./);
});

test('an error whose stack is none is told by its message', () => {
  expect([publicMessage(odd), stackOf(odd)]).toEqual(['Error: odd', 'odd']);
});
