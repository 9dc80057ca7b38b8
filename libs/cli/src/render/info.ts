import type { v1 } from '@cabstand/rpc';
import { commandRows, messageRows, moduleTraits } from './module-info';
import { printable } from './style';
import type { Style } from './style';
import { table } from './table';
import { bytes } from './units';

/** A hoster's answer for people. */
export function infoText(address: string, info: v1.InfoResponse__Output, style: Style): string {
  const { limits } = info;
  const head = table([
    [
      style.dim('hoster'),
      `${style.bold(printable(info.node_id))} at ${address}${info.draining ? style.yellow(' (draining)') : ''}`,
    ],
    [
      style.dim('version'),
      `${printable(info.version)}, ONNX Runtime ${printable(info.onnxruntime_version)}`,
    ],
    [
      style.dim('sessions'),
      `${info.open_sessions} open of ${limits?.max_sessions ?? '?'}, ${limits?.max_sessions_per_principal ?? '?'} for each caller`,
    ],
    [style.dim('messages'), `up to ${bytes(limits?.max_message_bytes ?? 0)}`],
  ]);
  return [head, ...info.models.map((model) => modelText(model, style))].join('\n');
}

function modelText(model: v1.ModelInfo__Output, style: Style): string {
  const { offer } = model;
  const state = model.state.replace('MODEL_STATE_', '');
  const about = [
    `${offer?.kind ?? '?'}, on ${offer?.provider === '' ? '?' : (offer?.provider ?? '?')}`,
    ...(offer?.kind === 'module'
      ? moduleTraits(model)
      : [`batching ${batchClass(offer)}`, `reference ${referenceOf(offer)}`]),
    `${model.free_slots} of ${offer?.capacity ?? 0} slots free for new sessions`,
  ].join(', ');
  const rows: string[][] = [];
  for (const columns of inputRows(model)) rows.push([style.dim('in'), ...columns]);
  for (const output of model.outputs) rows.push([style.dim('out'), ...tensorColumns(output)]);
  for (const columns of parameterRows(model.parameters)) rows.push([style.dim('set'), ...columns]);
  for (const columns of commandRows(model)) rows.push([style.dim('tell'), ...columns]);
  for (const columns of messageRows(model)) rows.push([style.dim('hear'), ...columns]);
  const version = offer?.version ?? '';
  const title =
    style.bold(printable(offer?.name ?? '')) + (version === '' ? '' : ` v${printable(version)}`);
  return [
    `${title}  ${state === 'READY' ? style.green(state) : style.yellow(state)}\n`,
    `  ${printable(model.description)}\n`,
    model.failure === '' ? '' : `  ${style.red(printable(model.failure))}\n`,
    `  ${style.dim(about)}\n`,
    model.batching_note === '' ? '' : `  ${style.dim(printable(model.batching_note))}\n`,
    table(rows).replace(/^(?=.)/gm, '  '),
  ].join('');
}

/** How a hoster batches a model, as a word; `?` where it has not said. */
export function batchClass(offer: v1.ModelOffer__Output | null): string {
  const name = (offer?.batch_class ?? '').replace('BATCH_CLASS_', '').toLowerCase();
  return name === '' || name === 'unspecified' ? '?' : name;
}

/** What a model was checked against: golden, self or none; `?` where its hoster has not said. */
export function referenceOf(offer: v1.ModelOffer__Output | null): string {
  return offer?.reference === undefined || offer.reference === ''
    ? '?'
    : printable(offer.reference);
}

/** Rows of name, type, meaning: everything that a turn may bring. */
export function inputRows(model: v1.ModelInfo__Output): string[][] {
  const rows = model.inputs.map((spec) =>
    tensorColumns(spec, framesOf(model.framing.find(({ input }) => input === spec.name))),
  );
  if (model.takes_prompt) rows.push(['prompt', 'text', '--text']);
  return rows;
}

/** How an input is cut; empty for one that is not. */
function framesOf(framed: v1.FramedInput__Output | undefined): string {
  if (framed === undefined) return '';
  const { frame, hop } = framed;
  return `a frame takes ${frame}${hop === frame ? '' : `, the next one begins ${hop} further on`}`;
}

function tensorColumns(spec: v1.TensorSpec__Output, frames = ''): string[] {
  const shape = spec.shape.map((size, i) =>
    size === -1 ? (spec.dimension_names[i] ?? '') || '?' : String(size),
  );
  const dtypes = spec.accepted_dtypes.length === 0 ? [spec.dtype] : spec.accepted_dtypes;
  const dtype = dtypes.map((name) => name.replace('DATA_TYPE_', '').toLowerCase()).join(' or ');
  const media =
    spec.media === undefined
      ? ''
      : { audio: '--wav', image: '--image', text: 'token ids of a text' }[spec.media];
  const notes = [
    spec.audio ? `${media} at ${spec.audio.sample_rate} Hz` : media,
    frames,
    rangeOf(spec),
    spec.labels.length === 0 ? '' : `labels ${spec.labels.slice(0, 8).join(', ')}`,
    spec.description,
  ];
  return [
    printable(spec.name),
    printable(`${dtype} [${shape.join(', ')}]`),
    notes
      .filter((note) => note !== '')
      .map(printable)
      .join('; '),
  ];
}

/** Values that an input may hold; empty where any may be. */
function rangeOf({ minimum, maximum }: v1.TensorSpec__Output): string {
  if (minimum === undefined) return maximum === undefined ? '' : `at most ${maximum}`;
  return maximum === undefined ? `at least ${minimum}` : `from ${minimum} to ${maximum}`;
}

/** Rows of name, type with default, meaning. */
export function parameterRows(json: string): string[][] {
  try {
    const parsed = JSON.parse(json === '' ? '{}' : json) as Record<string, Record<string, unknown>>;
    return Object.entries(parsed).map(([name, { dtype, default: preset, description }]) => {
      const type = typeof dtype === 'string' ? dtype : '';
      const standard = preset === undefined ? '' : ` (default ${JSON.stringify(preset)})`;
      return [name, type + standard, typeof description === 'string' ? description : ''].map(
        printable,
      );
    });
  } catch {
    return [];
  }
}
