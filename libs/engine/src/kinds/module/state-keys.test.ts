import { lossyPart, refusedPart } from './state-keys';

class Scene {
  light = 1;
}

const plain = {
  ...{ n: 1, text: 'a', list: [1, [2]], bytes: new Uint8Array(3), big: 1n, at: new Date(0) },
  ...{ map: new Map([['a', { b: 1 }]]), set: new Set([1]), error: new TypeError('x'), none: null },
  bare: Object.create(null) as unknown,
};

test('plain data has no part that is unfit', () => {
  expect(refusedPart(plain)).toBeUndefined();
  expect(lossyPart(plain)).toBeUndefined();
});

test.each([
  [{ a: { b: [1, () => 1] } }, 'state.a.b[1]', 'function'],
  [{ map: new Map([['k', { s: Symbol('x') }]]) }, 'state.map.get("k").s', 'symbol'],
  [{ p: Promise.resolve() }, 'state.p', 'Promise'],
  [() => 1, 'state', 'function'],
])('a part that cannot be kept is named: %#', (state, key, what) => {
  expect(refusedPart({ plain })).toBeUndefined();
  expect(refusedPart(state)).toEqual({ key, what });
});

test('an object of a class is named, wherever it lies', () => {
  expect(lossyPart({ plain, deep: [{ scene: new Scene() }] })).toEqual({
    key: 'state.deep[0].scene',
    what: 'Scene',
  });
  expect(lossyPart(new Scene())).toEqual({ key: 'state', what: 'Scene' });
});

test('a circle is looked at once', () => {
  const circle: Record<string, unknown> = { n: 1 };
  circle.self = circle;
  expect(refusedPart(circle)).toBeUndefined();
  expect(lossyPart(circle)).toBeUndefined();
});
