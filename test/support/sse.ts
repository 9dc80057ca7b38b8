/** Server-sent events as a page reads them, with fetch. */

export interface SseEvent {
  readonly id: number | undefined;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The events of an answer, read no faster than they are asked for. Leaving the loop ends the connection. */
export async function* sseEvents(response: Response): AsyncGenerator<SseEvent, void, undefined> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
    const blocks = (rest + decoder.decode(piece, { stream: true })).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line) => {
          const colon = line.indexOf(': ');
          return [line.slice(0, colon), line.slice(colon + 2)] as const;
        }),
      );
      const data = fields.get('data');
      if (data === undefined) continue;
      const id = fields.get('id');
      yield {
        id: id === undefined ? undefined : Number(id),
        type: fields.get('event') ?? 'message',
        data: JSON.parse(data) as SseEvent['data'],
      };
    }
  }
}
