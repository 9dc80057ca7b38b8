import type { v1 } from '@cabstand/rpc';
import { dtypeFromWire } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { offerFromWire } from './from-wire';
import type { FramedInput, ModelInputs } from '../protocol/types';
import type { NodeModel } from './types';
import { isSet } from '../is-set';

/** A public input or output of a model. */
interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  /** Sizes; -1 where any size is taken. */
  readonly shape: readonly number[];
  /** Names of the dimensions, where the manifest gives them. */
  readonly dimensionNames: readonly string[];
  readonly description: string;
  /** Inputs: every dtype that is taken, `dtype` first; int16 samples stand for themselves divided by 32768. */
  readonly acceptedDtypes: readonly DType[];
  /** Inputs: least and greatest value of an element; undefined where any is taken. */
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  /** One name per element of the last dimension, for classifiers. */
  readonly labels: readonly string[];
  /** What the tensor holds, so that it can be made from a file. */
  readonly media:
    | { readonly kind: 'audio'; readonly sampleRate: number }
    | {
        readonly kind: 'image';
        readonly width: number;
        readonly height: number;
        readonly channels: string;
        readonly layout: string;
        /** value = (pixel / 255 - mean) / std */
        readonly mean: readonly number[];
        readonly std: readonly number[];
        readonly fit: string;
      }
    | { readonly kind: 'text' }
    | undefined;
}

/** A model as its hoster describes it. */
interface ModelInfo extends Omit<NodeModel, 'queueDepth' | 'stepSeconds'> {
  readonly state: 'loading' | 'verifying' | 'ready' | 'draining' | 'failed' | 'unknown';
  readonly description: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Name → `{dtype, default, minimum, maximum, one_of, description}`. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly takesPrompt: boolean;
  readonly takesLiveInput: boolean;
  /** Items a step consumes of the framed input; 0 without framing. */
  readonly frameHop: number;
  /** Inputs that are cut into frames, in step. */
  readonly framing: readonly FramedInput[];
  /** Why it is not ready; empty if it is. */
  readonly failure: string;
  readonly checkpoints: boolean;
  readonly runtime: string;
}

/** A hoster as it describes itself. */
export interface HosterInfo {
  readonly address: string;
  readonly version: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly models: readonly ModelInfo[];
  readonly openSessions: number;
  readonly draining: boolean;
  readonly onnxruntimeVersion: string;
  readonly limits:
    | {
        readonly maxMessageBytes: number;
        readonly maxSessions: number;
        readonly maxSessionsPerPrincipal: number;
        readonly journalRecords: number;
        readonly journalBytes: number;
        readonly creditRecords: number;
      }
    | undefined;
}

const MODEL_STATES = ['loading', 'verifying', 'ready', 'draining', 'failed'] as const;

export function infoFromWire(address: string, wire: v1.InfoResponse__Output): HosterInfo {
  const { limits } = wire;
  return {
    address,
    version: wire.version,
    nodeId: wire.node_id,
    incarnation: wire.incarnation,
    models: wire.models.flatMap((model) => (model.offer === null ? [] : [modelInfo(model)])),
    openSessions: wire.open_sessions,
    draining: wire.draining,
    onnxruntimeVersion: wire.onnxruntime_version,
    limits:
      limits === null
        ? undefined
        : {
            maxMessageBytes: limits.max_message_bytes,
            maxSessions: limits.max_sessions,
            maxSessionsPerPrincipal: limits.max_sessions_per_principal,
            journalRecords: limits.journal_records,
            journalBytes: limits.journal_bytes,
            creditRecords: limits.credit_records,
          },
  };
}

function modelInfo(wire: v1.ModelInfo__Output): ModelInfo {
  const state = wire.state.replace('MODEL_STATE_', '').toLowerCase();
  return {
    ...offerFromWire(wire.offer as v1.ModelOffer__Output),
    state: MODEL_STATES.find((known) => known === state) ?? 'unknown',
    description: wire.description,
    inputs: wire.inputs.map(specFromWire),
    outputs: wire.outputs.map(specFromWire),
    parameters: parametersFromWire(wire.parameters),
    takesPrompt: wire.takes_prompt,
    takesLiveInput: wire.takes_live_input,
    frameHop: wire.frame_hop,
    framing: wire.framing.map(framedFromWire),
    failure: wire.failure,
    checkpoints: wire.checkpoints,
    runtime: wire.runtime,
    freeSlots: wire.free_slots,
  };
}

/** What the model takes of which a hoster was asked; undefined where it is not among those it has. */
export function modelInputs(
  { models, limits }: HosterInfo,
  model: { readonly model: string; readonly digest: string },
): ModelInputs | undefined {
  const named = models.filter(({ name }) => name === model.model);
  const found =
    model.digest === ''
      ? (named.find(({ state }) => state === 'ready') ?? named[0])
      : named.find(({ digest }) => digest === model.digest);
  if (found === undefined) return undefined;
  const { digest, inputs, framing, takesLiveInput } = found;
  const maxMessageBytes = limits?.maxMessageBytes ?? Infinity;
  return { digest, inputs, framing: takesLiveInput ? framing : [], maxMessageBytes };
}

function framedFromWire(wire: v1.FramedInput__Output): FramedInput {
  const { input, axis, frame, hop, remainder } = wire;
  return {
    ...{ input, axis, frame, hop },
    remainder: remainder === 'pad' || remainder === 'drop' ? remainder : 'keep',
  };
}

function parametersFromWire(json: string): Readonly<Record<string, unknown>> {
  if (json === '') return {};
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // A description that cannot be read is none; the model can be used without it.
    return {};
  }
}

function specFromWire(wire: v1.TensorSpec__Output): TensorSpec {
  return {
    name: wire.name,
    dtype: dtypeFromWire(wire.dtype) ?? 'float32',
    shape: wire.shape,
    dimensionNames: wire.dimension_names,
    description: wire.description,
    acceptedDtypes: wire.accepted_dtypes.flatMap((name) => dtypeFromWire(name) ?? []),
    minimum: wire.minimum,
    maximum: wire.maximum,
    labels: wire.labels,
    media: mediaFromWire(wire),
  };
}

function mediaFromWire(wire: v1.TensorSpec__Output): TensorSpec['media'] {
  if (isSet(wire.audio)) return { kind: 'audio', sampleRate: wire.audio.sample_rate };
  if (isSet(wire.image)) return { kind: 'image', ...wire.image };
  return !isSet(wire.text) ? undefined : { kind: 'text' };
}
