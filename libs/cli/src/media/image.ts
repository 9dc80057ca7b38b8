import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { UsageError } from '../errors';

/** How to make the tensor from a picture (cabstand.v1.ImageMedia): value = (pixel / 255 - mean) / std. */
export interface ImageLayout {
  readonly width: number;
  readonly height: number;
  readonly channels: 'rgb' | 'bgr';
  readonly layout: 'nchw' | 'nhwc';
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** `pad` scales to the height, never wider than the width, and puts the picture at the left. */
  readonly fit: 'stretch' | 'pad';
}

const CHANNELS = 3;
const MOST_PIXELS = 64e6;

/** Reads a picture (PNG, JPEG, WebP, GIF, TIFF, AVIF) into a tensor `[1, 3, H, W]` or `[1, H, W, 3]`. */
export async function imageTensor(
  name: string,
  path: string,
  target: ImageLayout,
): Promise<Tensor> {
  const { pixels, width } = await decode(path, target);
  return tensorOf(name, normalize(pixels, width, target), shapeOf(target));
}

/** `pixels` is RGB, `width` wide and as high as the target. What it does not cover stays 0. */
export function normalize(pixels: Uint8Array, width: number, target: ImageLayout): Float32Array {
  const out = new Float32Array(CHANNELS * target.height * target.width);
  for (let y = 0; y < target.height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < CHANNELS; c++) {
        const source = target.channels === 'bgr' ? CHANNELS - 1 - c : c;
        const pixel = pixels[(y * width + x) * CHANNELS + source] ?? 0;
        const at =
          target.layout === 'nchw'
            ? (c * target.height + y) * target.width + x
            : (y * target.width + x) * CHANNELS + c;
        out[at] = (pixel / 255 - (target.mean[c] ?? 0)) / (target.std[c] ?? 1);
      }
  return out;
}

function shapeOf({ layout, width, height }: ImageLayout): number[] {
  return layout === 'nchw' ? [1, CHANNELS, height, width] : [1, height, width, CHANNELS];
}

async function decode(
  path: string,
  target: ImageLayout,
): Promise<{ pixels: Uint8Array; width: number }> {
  // Loaded when needed: the other commands work where sharp's binary does not.
  const { default: sharp } = await import('sharp');
  try {
    const image = sharp(path, { limitInputPixels: MOST_PIXELS })
      .autoOrient()
      .flatten({ background: 'white' })
      .toColourspace('srgb')
      .removeAlpha();
    const meta = await sharp(path, { limitInputPixels: MOST_PIXELS }).metadata();
    const { width, height } = meta.autoOrient;
    const scaled =
      target.fit === 'stretch'
        ? target.width
        : Math.min(target.width, Math.ceil((target.height * width) / height));
    const sized =
      scaled === width && target.height === height
        ? image
        : image.resize(scaled, target.height, { fit: 'fill', kernel: 'linear' });
    const { data, info } = await sized.raw().toBuffer({ resolveWithObject: true });
    if (info.channels !== CHANNELS)
      throw new Error(`it has ${info.channels} channels, ${CHANNELS} are needed`);
    return { pixels: data, width: info.width };
  } catch (error) {
    throw new UsageError(
      `cannot read ${path} as a picture: ${(error as Error).message}`,
      'PNG, JPEG, WebP, GIF, TIFF and AVIF of up to 64 megapixels are read.',
      error,
    );
  }
}
