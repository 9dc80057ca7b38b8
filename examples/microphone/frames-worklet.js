/** Runs beside the page: gathers blocks of 128 samples into frames of 512. */
const FRAME = 512;

registerProcessor(
  'frames',
  class extends AudioWorkletProcessor {
    frame = new Float32Array(FRAME);
    filled = 0;

    process([[channel]]) {
      if (channel === undefined) return true;
      this.frame.set(channel, this.filled);
      this.filled += channel.length;
      if (this.filled === FRAME) {
        this.port.postMessage(this.frame, [this.frame.buffer]);
        this.frame = new Float32Array(FRAME);
        this.filled = 0;
      }
      return true;
    }
  },
);
