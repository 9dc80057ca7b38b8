/** Answers as JSON, and behind it the bytes of tensors. */
import type { CabstandError } from '@cabstand/core';
import { jsonElements } from '@cabstand/tensor';
import { errorHeaders, httpStatus } from '@cabstand/service';
import type { HttpAnswer } from '@cabstand/service';
import { DATATYPES, toRaw } from '../infer/datatypes';
import type { Answer } from '../infer/inference';
import { JSON_LENGTH } from './body';
import type { HttpAsk } from './parse';

export function jsonAnswer(value: unknown, status = 200): HttpAnswer {
  const body = Buffer.from(JSON.stringify(value));
  return { status, headers: { 'content-type': 'application/json' }, body };
}

export function inferAnswer({ isBinary }: HttpAsk, answer: Answer): HttpAnswer {
  const { model, id, tensors, note } = answer;
  const binary: Buffer[] = [];
  const outputs = tensors.map((tensor) => {
    const { name, dtype, shape } = tensor;
    const head = { name, datatype: DATATYPES[dtype], shape };
    // FP16 has no place in JSON.
    if (!isBinary(name) && dtype !== 'float16') return { ...head, data: jsonElements(tensor) };
    const raw = toRaw(tensor);
    binary.push(raw);
    return { ...head, parameters: { binary_data_size: raw.length } };
  });
  const head = {
    ...{ id, model_name: model.name, model_version: model.version },
    ...(note === '' ? {} : { parameters: { note } }),
    outputs,
  };
  const json = jsonAnswer(head);
  if (binary.length === 0) return json;
  return {
    status: 200,
    headers: {
      'content-type': 'application/octet-stream',
      [JSON_LENGTH]: String(json.body.length),
    },
    body: Buffer.concat([json.body, ...binary]),
  };
}

export function errorAnswer(error: CabstandError): HttpAnswer {
  const { reason, message, metadata } = error;
  const answer = jsonAnswer({ error: message, reason, metadata }, httpStatus(error));
  return { ...answer, headers: { ...answer.headers, ...errorHeaders(error) } };
}
