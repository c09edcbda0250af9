/** Made-up weights of a network in training: Gaussian, and each step moves them a little. The same on every machine. */

/** Numbers of mean 0 and deviation 1. */
function gaussian(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 4_294_967_297;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

export class Weights {
  readonly values: Float32Array;
  readonly #next: () => number;

  constructor(count: number, seed = 1) {
    this.#next = gaussian(seed);
    this.values = Float32Array.from({ length: count }, () => this.#next() * 0.02);
  }

  /** Steps of a size of about `rate`, nine tenths of which is noise that cancels out and one tenth a direction. */
  train(steps: number, rate: number): void {
    const noise = rate * Math.sqrt(steps);
    const way = 0.1 * rate * steps;
    for (let i = 0; i < this.values.length; i++) this.values[i]! += this.#next() * noise + this.#next() * way;
  }

  fp32(): Buffer {
    return Buffer.from(this.values.buffer.slice(0));
  }

  /** Rounded to the nearest, ties to even. */
  bf16(): Buffer {
    const words = new Uint32Array(this.values.buffer);
    const halves = Uint16Array.from(words, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
    return Buffer.from(halves.buffer);
  }
}

/** A file of tensors: a head of any length, then the numbers, as safetensors has them. */
export function checkpointOf(numbers: Buffer, head: string): Buffer {
  return Buffer.concat([Buffer.from(head.padEnd(Math.ceil(head.length / 8) * 8)), numbers]);
}
