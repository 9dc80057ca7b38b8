import type { v1 } from '@cabstand/rpc';
import { JsonRenderer } from './json';
import { LabelRenderer } from './labels';
import type { OutputRenderer } from './output';
import type { Style } from './style';
import { TensorRenderer } from './tensors';
import { TextRenderer } from './text';
import { TimelineRenderer } from './timeline';

export interface RenderOptions {
  readonly format: 'readable' | 'json' | 'json-base64';
  readonly columns: number;
  readonly interactive: boolean;
  readonly style: Style;
}

/** The renderer that fits what a model takes and gives. */
export function rendererFor(model: v1.ModelInfo__Output, options: RenderOptions): OutputRenderer {
  const { format, style } = options;
  if (format !== 'readable') return new JsonRenderer(format === 'json-base64');
  if (model.offer?.kind === 'generator') return new TextRenderer(style);
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
  const labelled = model.outputs.find(({ labels }) => labels.length > 0);
  if (labelled !== undefined) return new LabelRenderer(labelled.name, labelled.labels, style);
  return new TensorRenderer(style);
}

function isOneValue({ dtype, shape }: v1.TensorSpec__Output): boolean {
  // The batch axis may be free; it is 1 for a stateful model's record.
  return dtype === 'DATA_TYPE_FLOAT32' && shape.every((size) => size === 1 || size === -1);
}
