import { show } from '@cabstand/core';

/** A file's content where numbers are expected. */
interface FileKind {
  readonly what: string;
  readonly instead: string;
}

const AUDIO =
  'its samples: ffmpeg -i INPUT -ac 1 OUTPUT.wav makes a WAV file, which audioFrom of @cabstand/media reads';
const PICTURE =
  'its pixels, as the model takes them: decode and scale it, with the package sharp, say';

const KINDS: readonly (FileKind & { readonly starts: readonly [at: number, text: string][] })[] = [
  {
    what: 'the bytes of a WAV file',
    instead:
      'its samples: await audioFrom(bytes, { sampleRate: 16000 }) of @cabstand/media decodes, mixes and resamples',
    starts: [
      [0, 'RIFF'],
      [8, 'WAVE'],
    ],
  },
  { what: 'the bytes of an MP3 file', instead: AUDIO, starts: [[0, 'ID3']] },
  { what: 'the bytes of a FLAC file', instead: AUDIO, starts: [[0, 'fLaC']] },
  { what: 'the bytes of an Ogg file', instead: AUDIO, starts: [[0, 'OggS']] },
  { what: 'the bytes of a PNG file', instead: PICTURE, starts: [[0, '\x89PNG\r\n\x1a\n']] },
  {
    what: 'the bytes of a JPEG file',
    instead: PICTURE,
    starts: [
      [0, '\xff\xd8\xff\xe0'],
      [6, 'JFIF\0'],
    ],
  },
  {
    what: 'the bytes of a JPEG file',
    instead: PICTURE,
    starts: [
      [0, '\xff\xd8\xff\xe1'],
      [6, 'Exif\0'],
    ],
  },
  {
    what: 'the bytes of a WebP file',
    instead: PICTURE,
    starts: [
      [0, 'RIFF'],
      [8, 'WEBP'],
    ],
  },
];

/** The kind of file that the bytes are, by its signature; undefined for any other bytes. */
export function fileKind(bytes: Uint8Array): FileKind | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return KINDS.find(({ starts }) =>
    starts.every(([at, text]) => buffer.toString('latin1', at, at + text.length) === text),
  );
}

const WAV_PATH = /\.wave?$/i;
const AUDIO_PATH = /\.(mp3|flac|ogg|opus|m4a|aac)$/i;
const PICTURE_PATH = /\.(png|jpe?g|webp|gif|bmp|tiff?)$/i;

/** What to give instead of the path of a file, by its ending; undefined for any other text. */
export function insteadOfPath(text: string): string | undefined {
  if (WAV_PATH.test(text))
    return `its samples, a path is no audio: await audioFrom(${show(text)}, { sampleRate: 16000 }) of @cabstand/media`;
  if (AUDIO_PATH.test(text)) return `${AUDIO}; a path is no audio`;
  if (PICTURE_PATH.test(text)) return `${PICTURE}; a path is no picture`;
  return undefined;
}
