/** The weights that formats are tried on: a tensor of the loaded model, or normal numbers. */
import type { Model } from '../engine';

export interface Sample {
  name: string;
  values: Float32Array;
}

const COUNT = 65_536;

/** Normal numbers with the spread of a weight matrix; the same ones each time. */
export function normal(): Sample {
  const values = new Float32Array(COUNT);
  const random = generator(1);
  for (let i = 0; i < COUNT; i += 2) {
    const radius = 0.05 * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  return { name: 'Normal numbers, σ = 0.05', values };
}

/** mulberry32: good enough for a picture, and the same in every browser. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The names of the model's matrices; vectors are never quantized. */
export async function matrices(model: Model): Promise<string[]> {
  const all = await model.tensors();
  return all.filter((t) => t.shape.length > 1).map((t) => t.name);
}

export async function tensor(model: Model, name: string): Promise<Sample> {
  return { name, values: await model.readTensor(name, COUNT) };
}
