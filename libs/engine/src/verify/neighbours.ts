/** Company for a subject: valid inputs first, as golden data has them, and extremes only then. */
import { KINDS, encodeText } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import { uniform } from '../output/sampling';
import { Domain, pickValues } from './values';
import type { TurnPlan } from './harness';

/**
 * `given`: rows and turns of golden data, shuffled among one another. `perturbed`: the same, with numbers
 * moved within the declared limits. The others are likelier to be refused, and to show what a row
 * can do to another.
 */
export const NEIGHBOURS = ['given', 'perturbed', 'zeros', 'large', 'noise'] as const;
export type Neighbour = (typeof NEIGHBOURS)[number];

/** A temperature at which any token may come. */
const HOT = 10;

export class Neighbours {
  readonly #manifest: Manifest;
  readonly #turns: readonly TurnPlan[];
  /** Inputs that all rows of a run share: they must be the subject's. */
  readonly #shared: ReadonlySet<string>;
  /** Likewise, parameters. */
  readonly #sharedParameters: ReadonlySet<string>;
  readonly #domains = new Map<string, Domain>();

  /** @param turns what the model takes, of all sequences */
  constructor(manifest: Manifest, turns: readonly TurnPlan[]) {
    this.#manifest = manifest;
    this.#turns = turns;
    const inputs = manifest.graphs.flatMap((graph) => graph.inputs);
    const shared = inputs.filter(({ batchAxis }) => batchAxis === null);
    this.#shared = new Set(
      shared.flatMap(({ source }) =>
        source.from === 'input' || source.from === 'frame' ? [source.input] : [],
      ),
    );
    this.#sharedParameters = new Set(
      shared.flatMap(({ source }) => (source.from === 'parameter' ? [source.parameter] : [])),
    );
  }

  /** A turn that may run together with the subject, as long as it is; another one for each seed. */
  of(subject: TurnPlan, kind: Neighbour, seed: number): TurnPlan {
    const sources = this.#turns.filter((turn) => this.#fits(turn, subject));
    const pool = sources.length === 0 ? [subject] : sources;
    const draw = new Draw(seed);
    const row = draw.below(pool.length);
    return {
      prompt: this.#prompt(subject.prompt, draw),
      parameters: this.#parameters(subject, pool[row] ?? subject, kind, draw),
      inputs: this.#inputs(subject, pool, kind, draw),
    };
  }

  #inputs(
    subject: TurnPlan,
    pool: readonly TurnPlan[],
    kind: Neighbour,
    draw: Draw,
  ): readonly Tensor[] {
    const taken = this.#provenance(subject, pool, draw);
    return subject.inputs.map((tensor, index) => {
      if (this.#shared.has(tensor.name)) return tensor;
      const axis = this.#axisOf(tensor.name);
      const given = taken(tensor, axis);
      if (kind === 'given') return given;
      const domain = this.#domain(tensor);
      const spec = this.#manifest.inputs.find(({ name }) => name === tensor.name);
      const seed = draw.seed * 31 + index;
      return kind === 'perturbed'
        ? domain.perturbed(given, spec, seed)
        : domain.extreme(given, spec, kind, seed);
    });
  }

  #domain({ name, dtype }: Tensor): Domain {
    const key = `${name}\0${dtype}`;
    let domain = this.#domains.get(key);
    if (domain === undefined) {
      const all = this.#turns.flatMap(({ inputs }) =>
        inputs.filter((tensor) => tensor.name === name && tensor.dtype === dtype),
      );
      domain = new Domain(dtype, all);
      this.#domains.set(key, domain);
    }
    return domain;
  }

  /**
   * Where the items along the free axis of each tensor come from. The same for all tensors: lengths
   * stay with what they are the lengths of.
   */
  #provenance(
    subject: TurnPlan,
    pool: readonly TurnPlan[],
    draw: Draw,
  ): (tensor: Tensor, axis: number | undefined) => Tensor {
    const rows = this.#manifest.rows.length > 0;
    const one = pool[draw.below(pool.length)] ?? subject;
    const start = draw.fraction();
    const picks = new Map<number, { turn: TurnPlan; at: number }>();
    const pick = (item: number): { turn: TurnPlan; at: number } => {
      let found = picks.get(item);
      if (found === undefined) {
        found = { turn: pool[draw.below(pool.length)] ?? subject, at: draw.fraction() };
        picks.set(item, found);
      }
      return found;
    };
    return (tensor, axis) => {
      const source = (turn: TurnPlan): Tensor =>
        turn.inputs.find(({ name }) => name === tensor.name) ?? tensor;
      if (axis === undefined) return source(one);
      if (!rows) {
        // A signal: the same stretch of another one.
        const from = source(one);
        const size = from.shape[axis] ?? 1;
        const unit = this.#manifest.framed.find(({ input }) => input === tensor.name)?.hop ?? 1;
        const first = Math.floor(start * Math.ceil(size / unit)) * unit;
        return pickValues(tensor, axis, (item) => ({ from, at: (first + item) % size }));
      }
      return pickValues(tensor, axis, (item) => {
        const { turn, at } = pick(item);
        const from = source(turn);
        return { from, at: Math.floor(at * (from.shape[axis] ?? 1)) };
      });
    };
  }

  /** Its tensors differ from the subject's in values and in the number of rows or items only. */
  #fits(turn: TurnPlan, subject: TurnPlan): boolean {
    return (
      turn.inputs.length === subject.inputs.length &&
      subject.inputs.every(({ name, dtype, shape }) => {
        const other = turn.inputs.find((tensor) => tensor.name === name);
        const axis = this.#axisOf(name);
        return (
          other?.dtype === dtype &&
          other.shape.length === shape.length &&
          shape.every((size, at) => (at === axis ? size > 0 : other.shape[at] === size)) &&
          (axis === undefined || (other.shape[axis] ?? 0) > 0)
        );
      })
    );
  }

  #axisOf(input: string): number | undefined {
    const { rows, framed } = this.#manifest;
    return [...rows, ...framed].find((one) => one.input === input)?.axis;
  }

  /** As many tokens of other prompts: neighbours read as long as the subject does. */
  #prompt(prompt: string, draw: Draw): string {
    const { input } = this.#manifest.text;
    if (prompt === '' || input === undefined) return prompt;
    const apart = input.split === 'characters' ? '' : ' ';
    const units = this.#turns.flatMap((turn) => splitText(turn.prompt, apart));
    const count = splitText(prompt, apart).length;
    const made = Array.from({ length: count }, () => units[draw.below(units.length)] ?? '');
    const text = made.join(apart);
    // Text may be normalised on its way to ids: what comes out longer or shorter is of no use.
    return encodeText(text, input).length === encodeText(prompt, input).length ? text : prompt;
  }

  #parameters(
    subject: TurnPlan,
    other: TurnPlan,
    kind: Neighbour,
    draw: Draw,
  ): Readonly<Record<string, unknown>> {
    const made: Record<string, unknown> = { ...subject.parameters };
    // Writers would all write the same: these draw tokens of their own.
    if (KINDS[this.#manifest.kind].generates)
      Object.assign(made, { temperature: kind === 'given' ? 1 : HOT, seed: draw.below(2 ** 31) });
    for (const spec of this.#manifest.parameters) {
      const { name, oneOf, minimum, maximum } = spec;
      if (this.#sharedParameters.has(name) || !this.#batched(name)) continue;
      const given = other.parameters[name] ?? made[name];
      const choices: unknown[] =
        kind === 'given'
          ? [given, spec.default]
          : spec.shape.length > 0
            ? [given]
            : [...(oneOf ?? [minimum, maximum]), spec.default];
      const possible = choices.filter((choice) => choice !== undefined);
      if (possible.length > 0) made[name] = possible[draw.below(possible.length)];
    }
    return made;
  }

  /** Its values are rows of an input of a graph: callers' may differ within a run. */
  #batched(parameter: string): boolean {
    return this.#manifest.graphs.some(({ inputs }) =>
      inputs.some(({ source }) => source.from === 'parameter' && source.parameter === parameter),
    );
  }
}

/** Numbers that follow from a seed. */
class Draw {
  #count = 0;

  constructor(readonly seed: number) {}

  /** In [0, 1). */
  fraction(): number {
    this.#count += 1;
    return uniform(this.seed, this.#count);
  }

  below(count: number): number {
    return Math.floor(this.fraction() * count);
  }
}

function splitText(text: string, apart: string): string[] {
  return apart === '' ? Array.from(text) : text.split(apart).filter((word) => word !== '');
}
