/**
 * Trains a small network, so that there are true FP32 weights and Adam moments, and checkpoints a few steps apart.
 * A classifier of noisy clusters: 100 steps at 1e-3, then at 2e-5 as the end of a schedule or a fine-tuning has it.
 * Deterministic; the checkpoints are kept in the bench's cache.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { createRandom } from "../random.ts";

export interface Checkpoint {
  step: number;
  weights: Float32Array;
  adamM: Float32Array;
  adamV: Float32Array;
}

export interface MlpConfig {
  /** Inputs, hidden layers, classes. */
  layers: readonly number[];
  batch: number;
  /** Steps after which the state is kept. */
  steps: readonly number[];
  /** The first step at the small rate. */
  coolStep: number;
}

const [rate, coolRate] = [1e-3, 2e-5];
const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8];

/** The checkpoints, from `cacheDir` when they were made before. */
export async function loadCheckpoints(
  cacheDir: string,
  config: MlpConfig,
  signal?: AbortSignal,
): Promise<Checkpoint[]> {
  const name = `mlp-${config.layers.join("x")}-b${config.batch}-c${config.coolStep}-s${config.steps.join("-")}`;
  const dir = join(cacheDir, name);
  if (!existsSync(dir)) {
    const unfinished = `${dir}.tmp-${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    try {
      for await (const { step, weights, adamM, adamV } of train(config, signal))
        writeFileSync(
          join(unfinished, String(step)),
          Buffer.concat([weights, adamM, adamV].map((array) => Buffer.from(array.buffer))),
        );
      renameSync(unfinished, dir);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  return config.steps.map((step) => {
    const { buffer, byteOffset, byteLength } = readFileSync(join(dir, String(step)));
    const all = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    const count = all.length / 3;
    const [weights, adamM, adamV] = [0, 1, 2].map((i) => all.slice(i * count, (i + 1) * count));
    return { step, weights: weights!, adamM: adamM!, adamV: adamV! };
  });
}

interface Layer {
  inputs: number;
  outputs: number;
  /** [outputs][inputs], views into the arrays of the whole network, as the moments are. */
  weights: Float32Array;
  m: Float32Array;
  v: Float32Array;
}

export async function* train(config: MlpConfig, signal?: AbortSignal): AsyncGenerator<Checkpoint> {
  const random = createRandom("mlp");
  const sizes = config.layers;
  const count = sizes.slice(1).reduce((sum, outputs, i) => sum + outputs * sizes[i]!, 0);
  const [weights, adamM, adamV] = [new Float32Array(count), new Float32Array(count), new Float32Array(count)];
  let offset = 0;
  const layers = sizes.slice(1).map((outputs, i): Layer => {
    const inputs = sizes[i]!;
    const range = [offset, offset + inputs * outputs] as const;
    offset += inputs * outputs;
    const layer = {
      inputs,
      outputs,
      weights: weights.subarray(...range),
      m: adamM.subarray(...range),
      v: adamV.subarray(...range),
    };
    const scale = Math.sqrt(2 / inputs);
    for (let j = 0; j < layer.weights.length; j++) layer.weights[j] = random.gauss() * scale;
    return layer;
  });
  const centres = Array.from({ length: sizes.at(-1)! }, () =>
    Float32Array.from({ length: sizes[0]! }, () => random.gauss()),
  );
  for (let step = 1; step <= Math.max(...config.steps); step++) {
    signal?.throwIfAborted();
    const clusters = Array.from({ length: config.batch }, () => random.below(centres.length));
    const inputs = clusters.map((cluster) => centres[cluster]!.map((x) => 0.2 * x + random.gauss()));
    // A quarter of the labels is wrong: gradients never die out, as in real training.
    const labels = clusters.map((cluster) => (random.next() < 0.25 ? random.below(centres.length) : cluster));
    trainStep(layers, inputs, labels, step, step < config.coolStep ? rate : coolRate);
    if (config.steps.includes(step))
      yield { step, weights: weights.slice(), adamM: adamM.slice(), adamV: adamV.slice() };
    await setImmediate();
  }
}

function trainStep(layers: Layer[], inputs: Float32Array[], labels: number[], step: number, learning: number): void {
  const activations = [inputs];
  for (const layer of layers) activations.push(forward(layer, activations.at(-1)!, layer !== layers.at(-1)));
  let deltas: Float32Array[] = activations.at(-1)!.map((logits, b) => {
    const top = logits.reduce((a, x) => Math.max(a, x));
    const exps = logits.map((x) => Math.exp(x - top));
    const sum = exps.reduce((a, x) => a + x, 0);
    return exps.map((x, i) => (x / sum - (i === labels[b] ? 1 : 0)) / labels.length);
  });
  for (let i = layers.length - 1; i >= 0; i--) deltas = backward(layers[i]!, activations[i]!, deltas, step, learning);
}

function forward(layer: Layer, batch: Float32Array[], isHidden: boolean): Float32Array[] {
  const { inputs, outputs, weights } = layer;
  const out = batch.map(() => new Float32Array(outputs));
  for (let o = 0; o < outputs; o++) {
    const row = weights.subarray(o * inputs, (o + 1) * inputs);
    for (let b = 0; b < batch.length; b++) {
      const x = batch[b]!;
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += row[i]! * x[i]!;
      out[b]![o] = isHidden && sum < 0 ? 0 : sum;
    }
  }
  return out;
}

/** Updates the layer by Adam. Returns what is left of the error for the layer below (through its ReLU). */
function backward(
  layer: Layer,
  batch: Float32Array[],
  deltas: Float32Array[],
  step: number,
  learning: number,
): Float32Array[] {
  const { inputs, outputs, weights, m, v } = layer;
  const below = batch.map(() => new Float32Array(inputs));
  const gradient = new Float32Array(inputs);
  const [fix1, fix2] = [1 - beta1 ** step, 1 - beta2 ** step];
  for (let o = 0; o < outputs; o++) {
    const start = o * inputs;
    gradient.fill(0);
    for (let b = 0; b < batch.length; b++) {
      const delta = deltas[b]![o]!;
      if (delta === 0) continue;
      const [x, down] = [batch[b]!, below[b]!];
      for (let i = 0; i < inputs; i++) {
        gradient[i] = gradient[i]! + delta * x[i]!;
        down[i] = down[i]! + delta * weights[start + i]!;
      }
    }
    for (let i = 0; i < inputs; i++) {
      const [at, g] = [start + i, gradient[i]!];
      m[at] = beta1 * m[at]! + (1 - beta1) * g;
      v[at] = beta2 * v[at]! + (1 - beta2) * g * g;
      weights[at] = weights[at]! - (learning * (m[at]! / fix1)) / (Math.sqrt(v[at]! / fix2) + epsilon);
    }
  }
  below.forEach((down, b) => {
    for (let i = 0; i < inputs; i++) if (batch[b]![i]! <= 0) down[i] = 0;
  });
  return below;
}
