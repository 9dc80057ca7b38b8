/**
 * Hears speech in live audio and sends a message for each utterance. An example for authors: docs/modules.md.
 *
 * A module imports types only, so that nothing has to be installed where it runs.
 */
import type { InferenceSession, Module, ModuleClass, Tensors } from '@cabstand/module';
import type { ModuleEnvironment, SessionContext, TensorConstructor } from '@cabstand/module';
import { FRAME, RATE, finish, hear, nothingHeard } from './utterances';
import type { Heard, Limits } from './utterances';

/** Samples of the frame before that Silero wants to see again. */
const CARRY = 64;
const MEMORY_SHAPE = [2, 1, 128];

/** All that a session needs to go on: plain data, which checkpoints hold. */
interface State {
  readonly heard: Heard;
  /** What Silero remembers. */
  memory: Float32Array;
  carried: Float32Array;
  /** Samples that came and were not heard yet. */
  waiting: Float32Array;
}

type Context = SessionContext<State, Limits>;

class VoiceEvents implements Module<State, Limits> {
  readonly #Tensor: TensorConstructor;
  readonly #silero: InferenceSession;

  constructor(Tensor: TensorConstructor, silero: InferenceSession) {
    this.#Tensor = Tensor;
    this.#silero = silero;
  }

  /** Once for all sessions: they share the weights. */
  static async load(env: ModuleEnvironment): Promise<VoiceEvents> {
    return new VoiceEvents(env.Tensor, await env.createSession('silero_vad.onnx'));
  }

  newState(): State {
    return {
      heard: nothingHeard(),
      memory: new Float32Array(256),
      carried: new Float32Array(CARRY),
      waiting: new Float32Array(0),
    };
  }

  async startSession(ctx: Context): Promise<void> {
    const { state } = ctx;
    while (!ctx.shouldStop()) {
      // Once for each frame: what was emitted since the last one leaves now, and `state` says how to go on.
      await ctx.checkpoint();
      if (state.waiting.length >= FRAME) {
        const frame = state.waiting.slice(0, FRAME);
        state.waiting = state.waiting.slice(FRAME);
        await this.#frame(ctx, frame);
        continue;
      }
      const part = await ctx.input();
      if (part === undefined) break;
      state.waiting = joined(state.waiting, samplesOf(part));
    }
    // Who stops in the middle of a word has spoken too, unless the session is to end at once.
    const last = ctx.shouldStop() ? undefined : finish(state.heard);
    if (last !== undefined) await ctx.send('utterance', last);
  }

  async #frame(ctx: Context, frame: Float32Array): Promise<void> {
    const probability = await this.#probability(ctx.state, frame);
    const utterance = hear(ctx.state.heard, probability, ctx.parameters);
    const value = new this.#Tensor('float32', Float32Array.of(probability), [1]);
    await ctx.emit({ speech_probability: value });
    if (utterance !== undefined) await ctx.send('utterance', utterance);
  }

  /** Runs Silero: 64 samples of the frame before, then the frame. */
  async #probability(state: State, frame: Float32Array): Promise<number> {
    const audio = joined(state.carried, frame);
    const { output, stateN } = await this.#silero.run({
      input: new this.#Tensor('float32', audio, [1, audio.length]),
      state: new this.#Tensor('float32', state.memory, MEMORY_SHAPE),
      sr: new this.#Tensor('int64', BigInt64Array.of(BigInt(RATE)), []),
    });
    if (!(output?.data instanceof Float32Array) || !(stateN?.data instanceof Float32Array))
      throw new TypeError('silero_vad.onnx gave no float32 output and stateN');
    state.carried = frame.slice(FRAME - CARRY);
    state.memory = Float32Array.from(stateN.data);
    return output.data[0] ?? 0;
  }
}

function samplesOf({ audio }: Tensors): Float32Array {
  // model.yaml has it as float32.
  return audio?.data instanceof Float32Array ? audio.data : new Float32Array(0);
}

function joined(before: Float32Array, after: Float32Array): Float32Array {
  const both = new Float32Array(before.length + after.length);
  both.set(before);
  both.set(after, before.length);
  return both;
}

export default VoiceEvents satisfies ModuleClass<State, Limits>;
