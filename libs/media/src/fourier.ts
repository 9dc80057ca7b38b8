/** Discrete Fourier transform of real numbers, by halves as long as the size is even. */
export class Fourier {
  readonly #size: number;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #real: Float64Array;
  readonly #imaginary: Float64Array;

  /** @param size of what is transformed: a power of two times a small odd number, to be fast */
  constructor(size: number) {
    this.#size = size;
    const angle = (2 * Math.PI) / size;
    this.#cos = Float64Array.from({ length: size }, (_, at) => Math.cos(angle * at));
    this.#sin = Float64Array.from({ length: size }, (_, at) => Math.sin(angle * at));
    this.#real = new Float64Array(size);
    this.#imaginary = new Float64Array(size);
  }

  /** Answers all frequencies, in arrays that the next call writes over. */
  transform(values: Float64Array): { real: Float64Array; imaginary: Float64Array } {
    this.#part(values, 0, 1, this.#size, 0);
    return { real: this.#real, imaginary: this.#imaginary };
  }

  /** Of every `stride`-th value from `from` on, `size` in all, to `to` and what follows. */
  #part(values: Float64Array, from: number, stride: number, size: number, to: number): void {
    if (size % 2 === 1) {
      this.#direct(values, from, stride, size, to);
      return;
    }
    const half = size / 2;
    this.#part(values, from, 2 * stride, half, to);
    this.#part(values, from + stride, 2 * stride, half, to + half);
    const [real, imaginary] = [this.#real, this.#imaginary];
    for (let at = 0; at < half; at += 1) {
      const cos = this.#cos[at * stride] as number;
      const sin = this.#sin[at * stride] as number;
      const [even, odd] = [to + at, to + at + half];
      const oddReal = real[odd] as number;
      const oddImaginary = imaginary[odd] as number;
      const turnedReal = cos * oddReal + sin * oddImaginary;
      const turnedImaginary = cos * oddImaginary - sin * oddReal;
      real[odd] = (real[even] as number) - turnedReal;
      imaginary[odd] = (imaginary[even] as number) - turnedImaginary;
      real[even] = (real[even] as number) + turnedReal;
      imaginary[even] = (imaginary[even] as number) + turnedImaginary;
    }
  }

  #direct(values: Float64Array, from: number, stride: number, size: number, to: number): void {
    for (let frequency = 0; frequency < size; frequency += 1) {
      let real = 0;
      let imaginary = 0;
      for (let at = 0; at < size; at += 1) {
        const value = values[from + at * stride] as number;
        const angle = ((at * frequency) % size) * stride;
        real += value * (this.#cos[angle] as number);
        imaginary -= value * (this.#sin[angle] as number);
      }
      this.#real[to + frequency] = real;
      this.#imaginary[to + frequency] = imaginary;
    }
  }
}
