import { records } from './events.js';
import { LiveSession } from './live.js';
import { openMicrophone } from './microphone.js';

const at = (id) => document.getElementById(id);
const say = (id, text) => (at(id).textContent = text);
const gateway = () => ({
  url: at('gateway').value.replace(/\/$/, ''),
  token: at('token').value.trim() || undefined,
  headers: at('token').value.trim() ? { authorization: `Bearer ${at('token').value.trim()}` } : {},
});

const bars = [];
function draw(probability) {
  const { width, height } = at('probabilities');
  bars.push(probability);
  if (bars.length > width / 2) bars.shift();
  const canvas = at('probabilities').getContext('2d');
  canvas.clearRect(0, 0, width, height);
  canvas.fillStyle = '#2563eb';
  bars.forEach((bar, i) => canvas.fillRect(2 * i, height * (1 - bar), 2, height * bar));
}

let frames = 0;
at('listen').onclick = async () => {
  at('listen').disabled = true;
  let session;
  const microphone = await openMicrophone((samples) => session?.send(samples)).catch((error) => {
    say('microphone-state', `no microphone: ${error.message}`);
    at('listen').disabled = false;
  });
  if (microphone === undefined) return;
  session = new LiveSession(
    gateway(),
    { model: 'silero-vad', input: { name: 'audio', dtype: 'float32' } },
    {
      state: (text) => say('microphone-state', text),
      record: (event) => {
        if (event.type !== 'chunk') return;
        const [{ data }] = Object.values(event.tensors);
        say('probability', data[0].toFixed(3));
        say('frames', ++frames);
        draw(data[0]);
      },
    },
  );
  at('stop').disabled = false;
  at('stop').onclick = () => {
    session.close();
    void microphone.close();
    at('stop').disabled = true;
    at('listen').disabled = false;
  };
};

at('speak').onclick = async () => {
  say('phonemes', '');
  say('speech-state', 'asking');
  try {
    for await (const event of records(gateway(), { model: 'g2p', prompt: at('text').value })) {
      if (event.type === 'chunk') at('phonemes').textContent += event.text;
      if (event.type === 'end') say('speech-state', event.reason);
    }
  } catch (error) {
    say('speech-state', error.message);
  }
};

/** Noise that comes and goes, as int16: it need not be speech to be computed on. */
function sound(seconds, rate = 16_000) {
  return Int16Array.from(
    { length: seconds * rate },
    (_, i) => 10_000 * Math.sin(i / 9) * Math.sin(i / 4000),
  );
}

function base64(array) {
  const bytes = new Uint8Array(array.buffer);
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000)
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

/** As much as the gateway's http.max_body_bytes has room for by default. */
const SECONDS = 45;

at('scan').onclick = async () => {
  say('scan-state', 'asking');
  // For whoever wants to look: positions in the order in which they came.
  const positions = (window.positions = []);
  const audio = { dtype: 'int16', base64: base64(sound(SECONDS)) };
  try {
    for await (const event of records(gateway(), { model: 'silero-vad', tensors: { audio } })) {
      positions.push(event.position);
      say('records', positions.length);
      if (event.type === 'end') say('scan-state', event.reason);
    }
  } catch (error) {
    say('scan-state', error.message);
  }
};
