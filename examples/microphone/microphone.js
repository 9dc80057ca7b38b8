/** Sound of the microphone as frames of 16 kHz. */

const RATE = 16_000;

/** @param onFrame given a Float32Array of 512 samples, which is its to keep */
export async function openMicrophone(onFrame) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false },
  });
  // The context has the rate of the model: the browser resamples what the device gives, and well.
  const context = new AudioContext({ sampleRate: RATE });
  await context.audioWorklet.addModule(new URL('frames-worklet.js', import.meta.url));
  const source = context.createMediaStreamSource(stream);
  const frames = new AudioWorkletNode(context, 'frames', { numberOfOutputs: 0 });
  frames.port.onmessage = ({ data }) => onFrame(data);
  source.connect(frames);
  await context.resume();
  return {
    close() {
      frames.port.onmessage = null;
      stream.getTracks().forEach((track) => track.stop());
      return context.close();
    },
  };
}
