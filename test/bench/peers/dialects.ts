/** One stream of frames in the words of each server. */
import { randomBytes, randomInt } from 'node:crypto';
import { FRAME, MODEL } from './clips';
import type { Dialect } from './messages';
import { Fields, bytesField, framed, numberField, varint } from './wire';

/** What one stream says and understands. Messages are framed already. */
export interface Speaker {
  /** Of the call. */
  readonly path: string;
  /** Before the first frame. */
  opening(): readonly Buffer[];
  /** @param frame samples as little-endian float32 */
  input(frame: Buffer): Buffer;
  /** The probabilities that a message brings, in order. Throws for an error. */
  answers(message: Buffer): readonly number[];
  /** What is to be sent in return for what came. */
  reply(): Buffer | undefined;
  /** After the last answer. */
  closing(): readonly Buffer[];
}

export function speaker(dialect: Dialect): Speaker {
  switch (dialect) {
    case 'cabstand':
    case 'cabstand-durable':
      return new CabstandSpeaker(dialect === 'cabstand-durable');
    case 'voice':
      return new VoiceSpeaker();
    case 'triton':
      return new TritonSpeaker();
  }
}

/** A live turn on rpc_session_stream. Field numbers are those of proto/cabstand/v1. */
class CabstandSpeaker implements Speaker {
  readonly path = '/cabstand.v1.HosterService/rpc_session_stream';
  /** LiveInput up to the samples: all but the number of the part. */
  static readonly #tensor = Buffer.concat([
    bytesField(1, 'audio'),
    numberField(2, 1),
    bytesField(3, varint(FRAME)),
    varint((4 << 3) | 2),
    varint(4 * FRAME),
  ]);
  #part = 0;
  #position = 0;
  #acknowledged = 0;
  #ackEvery = 0;

  constructor(readonly durable: boolean) {}

  opening(): readonly Buffer[] {
    const id = bytesField(1, randomBytes(16).toString('hex'));
    const epoch = bytesField(2, Buffer.concat([numberField(1, 1), bytesField(2, randomBytes(16))]));
    const named = this.durable ? [id, epoch, numberField(3, 1)] : [];
    const open = Buffer.concat([...named, bytesField(4, MODEL), numberField(8, 1)]);
    return [framed(bytesField(1, open)), framed(bytesField(3, numberField(3, 1)))];
  }

  input(frame: Buffer): Buffer {
    const part = numberField(2, this.#part++);
    const tensor = CabstandSpeaker.#tensor;
    const inputs = [varint((3 << 3) | 2), varint(tensor.length + frame.length), tensor, frame];
    const length = part.length + inputs.reduce((sum, piece) => sum + piece.length, 0);
    return framed(varint((4 << 3) | 2), varint(length), part, ...inputs);
  }

  answers(message: Buffer): readonly number[] {
    const answers: number[] = [];
    this.#events(new Fields(message), answers);
    return answers;
  }

  #events(event: Fields, answers: number[]): void {
    while (event.next())
      if (event.field === 1) this.#record(event.inner(), answers);
      else if (event.field === 2) this.#notice(event.inner());
      else if (event.field === 4) this.#events(event.inner(), answers);
      else throw new Error('the session was closed');
  }

  reply(): Buffer | undefined {
    if (this.#ackEvery === 0 || this.#position - this.#acknowledged < this.#ackEvery)
      return undefined;
    this.#acknowledged = this.#position;
    return framed(bytesField(6, numberField(1, this.#position)));
  }

  closing(): readonly Buffer[] {
    return [framed(bytesField(9, Buffer.alloc(0)))];
  }

  #record(record: Fields, answers: number[]): void {
    while (record.next())
      if (record.field === 1) this.#position = record.value;
      else if (record.field === 4) answers.push(firstFloat(record.inner(), 1, 4));
      else if (record.field === 7) throw new Error(`the turn ended: ${printable(record)}`);
  }

  #notice(notice: Fields): void {
    while (notice.next())
      if (notice.field === 1)
        for (const opened = notice.inner(); opened.next();)
          if (opened.field === 8 || opened.field === 11) this.#ackEvery = opened.value;
  }
}

/** Samples there, a probability back: test/bench/peers/python/server.py. */
class VoiceSpeaker implements Speaker {
  readonly path = '/bench.Voice/Listen';

  opening(): readonly Buffer[] {
    return [];
  }

  input(frame: Buffer): Buffer {
    return framed(frame);
  }

  answers(message: Buffer): readonly number[] {
    return [message.readFloatLE(0)];
  }

  reply(): undefined {
    return undefined;
  }

  closing(): readonly Buffer[] {
    return [];
  }
}

/** Requests of the Open Inference Protocol on Triton's bidirectional stream, for python/triton/silero. */
class TritonSpeaker implements Speaker {
  readonly path = '/inference.GRPCInferenceService/ModelStreamInfer';
  /** Model and inputs, without their contents. */
  static readonly #head = Buffer.concat([
    bytesField(1, 'silero'),
    inferInput('audio', 'FP32', FRAME),
    inferInput('stream', 'INT64', 2),
  ]);
  /** The stream's number, and whether this is its last frame, as int64. */
  readonly #stream = Buffer.alloc(16);

  constructor() {
    this.#stream.writeBigInt64LE(BigInt(randomInt(1, 2 ** 47)));
  }

  opening(): readonly Buffer[] {
    return [];
  }

  input(frame: Buffer): Buffer {
    return framed(TritonSpeaker.#head, bytesField(7, frame), bytesField(7, this.#stream));
  }

  answers(message: Buffer): readonly number[] {
    for (const stream = new Fields(message); stream.next();)
      if (stream.field === 1) throw new Error(stream.text());
      else if (stream.field === 2)
        for (const response = stream.inner(); response.next();)
          if (response.field === 6) return [message.readFloatLE(response.from)];
    throw new Error('an answer without content');
  }

  reply(): undefined {
    return undefined;
  }

  /** One more frame, as that is how the model learns of the end. */
  closing(): readonly Buffer[] {
    this.#stream[8] = 1;
    return [this.input(Buffer.alloc(4 * FRAME))];
  }
}

/** An entry of ModelInferRequest.inputs: a batch of one. */
function inferInput(name: string, type: string, size: number): Buffer {
  const shape = bytesField(3, Buffer.from([1, ...varint(size)]));
  return bytesField(5, Buffer.concat([bytesField(1, name), bytesField(2, type), shape]));
}

/** The first number of `data` in the first message `list`. */
function firstFloat(message: Fields, list: number, data: number): number {
  while (message.next())
    if (message.field === list)
      for (const inner = message.inner(); inner.next();)
        if (inner.field === data) return inner.bytes.readFloatLE(inner.from);
  throw new Error('a chunk without a number');
}

function printable(fields: Fields): string {
  return fields.text().replace(/[^\x20-\x7e]+/g, ' ');
}
