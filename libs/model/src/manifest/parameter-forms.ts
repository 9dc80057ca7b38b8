/** Turn parameters that are no number and no list of a fixed length: text, lists, biases of tokens, schemas. */
import { invalid } from '@cabstand/core';
import type { JsonElement } from '@cabstand/tensor';
import type { ParameterForm, ParameterValue } from './signature';

/** Checks one element of the parameter's dtype. */
export type CheckElement = (value: unknown, field: string) => JsonElement;

/**
 * The value as it goes on: text, a list, an object of numbers by token, or a schema as text.
 *
 * @throws CabstandError PARAMETER_INVALID unless it is what the form takes.
 */
export function checkForm(
  form: ParameterForm,
  value: unknown,
  field: string,
  element: CheckElement,
): ParameterValue {
  switch (form.kind) {
    case 'text':
      return textOf(value, field, form.longest);
    case 'list':
      return listOf(form, value, field, element);
    case 'by-token':
      return byToken(form, value, field, element);
    case 'schema':
      return schemaOf(value, field, form.longest);
  }
}

function textOf(value: unknown, field: string, longest: number): string {
  if (typeof value !== 'string') throw invalid('PARAMETER_INVALID', field, value, 'text');
  if (value.length > longest)
    throw invalid(
      'PARAMETER_INVALID',
      field,
      `${value.length} characters`,
      `at most ${longest} characters`,
    );
  return value;
}

/** A single element stands for a list of it. */
function listOf(
  { most, longest }: Extract<ParameterForm, { kind: 'list' }>,
  value: unknown,
  field: string,
  element: CheckElement,
): readonly JsonElement[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > most)
    throw invalid('PARAMETER_INVALID', field, `${list.length} of them`, `at most ${most}`);
  return list.map((one, index) => {
    const place = `${field}[${index}]`;
    if (longest === undefined) return element(one, place);
    const text = textOf(one, place, longest);
    if (text === '') throw invalid('PARAMETER_INVALID', place, text, 'at least 1 character');
    return text;
  });
}

const DIGITS = /^\d{1,15}$/;

function byToken(
  { most, tokens }: Extract<ParameterForm, { kind: 'by-token' }>,
  value: unknown,
  field: string,
  element: CheckElement,
): Readonly<Record<string, number>> {
  const expected = 'an object: {"<id of a token>": <number>}';
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('PARAMETER_INVALID', field, value, expected);
  const entries = Object.entries(value);
  if (entries.length > most)
    throw invalid('PARAMETER_INVALID', field, `${entries.length} of them`, `at most ${most}`);
  const biases: Record<string, number> = {};
  for (const [id, bias] of entries) {
    if (!DIGITS.test(id) || Number(id) >= tokens)
      throw invalid('PARAMETER_INVALID', `${field} key`, id, `ids from 0 to ${tokens - 1}`);
    biases[Number(id)] = Number(element(bias, `${field}[${id}]`));
  }
  return biases;
}

function schemaOf(value: unknown, field: string, longest: number): string {
  const expected = 'a JSON schema: an object, or its text';
  let schema = value;
  if (typeof value === 'string') {
    if (value === '') return '';
    textOf(value, field, longest);
    try {
      schema = JSON.parse(value) as unknown;
    } catch {
      throw invalid('PARAMETER_INVALID', field, value, expected);
    }
  }
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    throw invalid('PARAMETER_INVALID', field, value, expected);
  return textOf(JSON.stringify(schema), field, longest);
}
