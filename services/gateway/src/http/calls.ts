/** What is asked beside streams: the same calls as gRPC has, in JSON. */
import { CabstandError, toReason } from '@cabstand/core';
import { openAiModels } from '@cabstand/doors';
import type { ServerCall, v1 } from '@cabstand/rpc';
import type { HandlerContext } from '../handlers/context';
import { info } from '../handlers/info';
import { closeSession, sessionUpdate } from '../handlers/session-calls';
import { modelFacts } from '../inference/model-facts';
import { commandSchema, parseAs } from './parse';

/** The models of all hosters; in `data`, the language models as OpenAI lists models. */
export async function models(context: HandlerContext, call: ServerCall): Promise<object> {
  const { models: all } = await info(context)({ models: [] }, call);
  const told = (all ?? []) as readonly v1.ModelInfo__Output[];
  return {
    ...{ object: 'list', data: openAiModels(told.map(modelFacts)) },
    models: told.map(modelJson),
  };
}

function modelJson(model: v1.ModelInfo__Output): object {
  const { offer, inputs, outputs, description, failure } = model;
  return {
    name: offer?.name,
    version: offer?.version,
    digest: offer?.digest,
    kind: offer?.kind,
    state: short(model.state, 'MODEL_STATE_'),
    ...(failure === '' ? {} : { failure }),
    description,
    takes_prompt: model.takes_prompt,
    takes_live_input: model.takes_live_input,
    inputs: inputs.map(tensorJson),
    outputs: outputs.map(tensorJson),
    parameters: model.parameters === '' ? {} : (JSON.parse(model.parameters) as unknown),
    commands: model.commands.map(({ name }) => name),
  };
}

function tensorJson(spec: v1.TensorSpec__Output): object {
  const { name, dtype, shape, description, labels, audio } = spec;
  return {
    ...{ name, dtype: short(dtype, 'DATA_TYPE_'), shape: shape.map(Number) },
    ...(description === '' ? {} : { description }),
    ...(labels.length === 0 ? {} : { labels }),
    ...(!audio ? {} : { sample_rate: audio.sample_rate }),
  };
}

const short = (word: string, prefix: string): string => word.replace(prefix, '').toLowerCase();

/** Tells a session something while its turn runs, and gives its answer. Throws COMMAND_… as the session says. */
export async function command(
  context: HandlerContext,
  id: string,
  body: unknown,
  call: ServerCall,
): Promise<object> {
  const { name, arguments: given } = parseAs(commandSchema, body, 'body');
  const { result } = await sessionUpdate(context)(
    {
      session_id: id,
      epoch: null,
      update: 'command',
      command: {
        name,
        arguments: textOf(given),
        sequence: -1,
      },
    },
    call,
  );
  if (result?.error) {
    const { reason, message, metadata } = result.error;
    throw new CabstandError(toReason(reason ?? ''), message ?? '', { metadata: metadata ?? {} });
  }
  return { result: result?.value ? (JSON.parse(result.value) as unknown) : null };
}

function textOf(given: unknown): string {
  try {
    return given === undefined ? '' : JSON.stringify(given);
  } catch (cause) {
    // What was parsed may be nested too deep to be written.
    throw new CabstandError('COMMAND_INVALID', 'body.arguments: nests too deep', {
      metadata: { field: 'body.arguments', expected: 'fewer lists and objects in one another' },
      cause,
    });
  }
}

/** Ends a session, wherever it is. */
export async function close(
  context: HandlerContext,
  id: string,
  call: ServerCall,
): Promise<object> {
  const { reason } = await closeSession(context)(
    { session_id: id } as v1.CloseSessionRequest__Output,
    call,
  );
  return { reason: short(String(reason ?? ''), 'END_REASON_') };
}
