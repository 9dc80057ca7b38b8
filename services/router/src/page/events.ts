/** Server-sent events over fetch: `EventSource` cannot send a token. */

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** More than a snapshot can have; whatever sends more is no router. */
const MOST_CHARACTERS = 4 * 1024 * 1024;

/** The events of a stream, until it ends. */
export async function* readEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<ServerEvent> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      waiting += value;
      for (let end = waiting.indexOf('\n\n'); end >= 0; end = waiting.indexOf('\n\n')) {
        yield parse(waiting.slice(0, end));
        waiting = waiting.slice(end + 2);
      }
      if (waiting.length > MOST_CHARACTERS) throw new Error('the router sends too much');
    }
  } finally {
    void reader.cancel();
  }
}

function parse(block: string): ServerEvent {
  let event = 'message';
  let data = '';
  for (const line of block.split('\n'))
    if (line.startsWith('event: ')) event = line.slice('event: '.length);
    else if (line.startsWith('data: ')) data += line.slice('data: '.length);
  return { event, data };
}
