/** A live session over a WebSocket, made anew where its connection to the gateway breaks. */

/** Frames that wait in the page before new ones are dropped: half a minute. */
const MOST_UNSENT = 16_000 * 4 * 30;
const AGAIN_MS = 500;

export class LiveSession {
  #closed = false;
  #socket;
  #listeners;

  /**
   * @param gateway address and token
   * @param open as the first message says it, but for the token
   * @param listeners `record(event)`, `state(text)`
   */
  constructor({ url, token }, open, listeners) {
    this.#listeners = listeners;
    const connect = () => {
      const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/sessions/live`);
      this.#socket = socket;
      listeners.state('connecting');
      // A page cannot set headers here, and what is in a URL ends up in logs: the token goes in the first message.
      socket.onopen = () => socket.send(JSON.stringify({ type: 'open', ...open, token }));
      let refused;
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === 'error') refused = event;
        else if (event.type === 'opened') listeners.state('listening');
        else listeners.record(event);
      };
      socket.onclose = () => {
        if (this.#closed) listeners.state('idle');
        else if (refused !== undefined && ['caller', 'auth'].includes(refused.class))
          listeners.state(`${refused.reason}: ${refused.message}`);
        else {
          listeners.state('reconnecting');
          setTimeout(connect, AGAIN_MS);
        }
      };
    };
    connect();
  }

  /** Sends samples; what cannot be sent for long is dropped, as sound of the past is of no use. */
  send(samples) {
    const socket = this.#socket;
    if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < MOST_UNSENT)
      socket.send(samples);
  }

  close() {
    this.#closed = true;
    if (this.#socket.readyState === WebSocket.OPEN)
      this.#socket.send(JSON.stringify({ type: 'end_input' }));
    else this.#listeners.state('idle');
  }
}
