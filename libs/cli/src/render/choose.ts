import type { v1 } from '@cabstand/rpc';
import type { Terminal } from '../terminal';
import { FrameRenderer, pictureOutput } from './frames';
import { JsonRenderer } from './json';
import { LabelRenderer } from './labels';
import { LiveArea } from './live-area';
import type { OutputRenderer } from './output';
import { StripRenderer } from './strip';
import type { Style } from './style';
import { TensorRenderer } from './tensors';
import { TextRenderer } from './text';
import { TimelineRenderer } from './timeline';

export interface RenderOptions {
  readonly format: 'readable' | 'json' | 'json-base64';
  readonly columns: number;
  readonly rows: number;
  readonly interactive: boolean;
  /** What is drawn in place; undefined where nothing can be. */
  readonly area: LiveArea | undefined;
  readonly style: Style;
}

/** As a terminal has it, asked anew each time. */
export function renderOptions(
  terminal: Terminal,
  format: RenderOptions['format'] = 'readable',
  area = terminal.redraws ? new LiveArea() : undefined,
): RenderOptions {
  return {
    get columns() {
      return terminal.columns;
    },
    get rows() {
      return terminal.rows;
    },
    ...{ format, area, interactive: terminal.interactive, style: terminal.style },
  };
}

/** The renderer that fits what a model takes and gives. */
export function rendererFor(model: v1.ModelInfo__Output, options: RenderOptions): OutputRenderer {
  const { format, style } = options;
  if (format !== 'readable') return new JsonRenderer(format === 'json-base64');
  if (model.offer?.kind === 'generator' || model.offer?.kind === 'language-model')
    return new TextRenderer(style);
  const picture = pictureOutput(model);
  if (picture !== undefined)
    return new FrameRenderer(picture, {
      ...{ area: options.area, style },
      size: () => ({ columns: options.columns, rows: options.rows }),
    });
  const [output] = model.outputs;
  const audio = model.inputs.find(({ media }) => media === 'audio')?.audio ?? undefined;
  if (output !== undefined && audio !== undefined && model.frame_hop > 0 && isOneValue(output))
    return new TimelineRenderer({
      frameSeconds: model.frame_hop / audio.sample_rate,
      output: output.name,
      label: output.name.replace(/_?prob(ability)?$/, '') || output.name,
      columns: options.columns,
      style,
      live: options.interactive,
    });
  const probability = probabilityOutput(model);
  if (probability !== undefined)
    return new StripRenderer({
      ...{ output: probability, columns: options.columns, style },
      area: options.area,
    });
  const labelled = model.outputs.find(({ labels }) => labels.length > 0);
  if (labelled !== undefined) return new LabelRenderer(labelled.name, labelled.labels, style);
  return new TensorRenderer(style);
}

/** Whether its records are drawn in an area of the terminal, where there is one. */
export function drawsInPlace(model: v1.ModelInfo__Output): boolean {
  return pictureOutput(model) !== undefined || probabilityOutput(model) !== undefined;
}

/** The one output of a module that is a probability. */
function probabilityOutput({ offer, outputs }: v1.ModelInfo__Output): string | undefined {
  const [output] = outputs;
  const alone = offer?.kind === 'module' && outputs.length === 1 && output !== undefined;
  return alone && isOneValue(output) && /prob(ability)?$/.test(output.name)
    ? output.name
    : undefined;
}

function isOneValue({ dtype, shape }: v1.TensorSpec__Output): boolean {
  // The batch axis may be free; it is 1 for a stateful model's record.
  return dtype === 'DATA_TYPE_FLOAT32' && shape.every((size) => size === 1 || size === -1);
}
