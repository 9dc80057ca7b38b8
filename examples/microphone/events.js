/** A session's records by server-sent events, read with fetch: EventSource can send neither a body nor a token. */

/** An answer that says no. */
export class Refused extends Error {
  /** @param error as the gateway tells it: reason, class, message, metadata */
  constructor(error) {
    super(`${error.reason}: ${error.message}`);
    this.reason = error.reason;
    /** Whether the same may go well a little later. */
    this.passing = ['overload', 'node'].includes(error.class);
  }
}

const AGAIN_MS = 500;
const LONGEST_MS = 30_000;

/**
 * Gives the records of one durable turn, each once, whatever breaks meanwhile.
 *
 * @param gateway address and headers
 * @param body as POST /v1/sessions takes it
 */
export async function* records({ url, headers }, body, signal) {
  const id = crypto.randomUUID();
  const begin = () =>
    fetch(`${url}/v1/sessions`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, session_id: id, durable: true }),
      signal,
    });
  const resume = (last) =>
    fetch(`${url}/v1/sessions/${id}/events`, {
      headers: { ...headers, ...(last < 0 ? {} : { 'last-event-id': String(last) }) },
      signal,
    });
  let last = -1;
  let begun = false;
  let brokenAt;
  try {
    for (;;) {
      try {
        const response = await (begun ? resume(last) : begin());
        if (!response.ok) throw new Refused((await response.json()).error);
        if (response.status === 204) return;
        begun = true;
        for await (const event of events(response)) {
          brokenAt = undefined;
          if (event.type === 'error') throw new Refused(event);
          if (event.position === undefined) continue;
          last = event.position;
          yield event;
          if (event.type === 'end') return;
        }
      } catch (error) {
        if (signal?.aborted || (error instanceof Refused && !error.passing)) throw error;
        brokenAt ??= performance.now();
        if (performance.now() - brokenAt > LONGEST_MS) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  } finally {
    // Nobody comes back to it.
    if (begun)
      fetch(`${url}/v1/sessions/${id}`, { method: 'DELETE', headers }).catch(() => undefined);
  }
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block);
      // What has no data is a comment: the connection lives.
      if (data !== null) yield JSON.parse(data[1]);
    }
  }
}
