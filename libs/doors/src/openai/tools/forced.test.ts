import { callSchema } from './forced';

const unit = { type: 'object', properties: { unit: { enum: ['C', 'F'] } }, required: ['unit'] };

test('the answer is an object with the name of the function and its arguments', () => {
  expect(callSchema([{ name: 'unit', parameters: unit }], 'hermes')).toEqual({
    type: 'object',
    properties: { name: { const: 'unit' }, arguments: unit },
    required: ['name', 'arguments'],
    additionalProperties: false,
  });
});

test('of several functions each has its own schema, and places within one are told from the root of all', () => {
  const tree = (root: string) => ({
    type: 'object',
    properties: {
      // Values and names of members that read like references are none.
      $ref: { const: { $ref: '#/x' } },
      default: { $ref: `${root}/$defs/leaf` },
      all: { type: 'array', items: { $ref: root } },
    },
    $defs: { leaf: { type: 'object', properties: { next: { $ref: `${root}/$defs/leaf` } } } },
  });
  const functions = [
    { name: 'unit', parameters: unit },
    { name: 'tree', parameters: tree('#') },
  ];
  expect(callSchema(functions, 'llama')).toMatchObject({
    anyOf: [
      {
        properties: { name: { const: 'unit' }, parameters: unit },
        required: ['name', 'parameters'],
      },
      { properties: { name: { const: 'tree' }, parameters: { $ref: '#/$defs/f1' } } },
    ],
    $defs: { f1: tree('#/$defs/f1') },
  });
});
