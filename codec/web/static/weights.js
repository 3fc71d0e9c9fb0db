/** The weights that decode, as the package packs them for browsers. */

import { check, inflate, viewOf } from "./container.js";

/** Bytes that they may unpack to. */
const SIZE_MAX = 2 ** 28;
export const ARRAYS = { F32: Float32Array, I32: Int32Array, I16: Int16Array, I8: Int8Array, U8: Uint8Array };

/**
 * Reads packed weights: a gzip stream of the length of a JSON header (32 bits), that header, and each tensor's bytes, all
 * first bytes of its numbers before all second ones. The header holds the model's `id`, `config` and `tensors`: name, type
 * and shape of each. Tensors that end in `.weight` are transposed.
 *
 * @param {Uint8Array} packed
 * @returns {Promise<{id: string, config: Object, tensors: Map<string, {shape: number[], data: ArrayLike<number>}>}>}
 */
export async function readWeights(packed) {
  const bytes = await inflate(packed, "gzip", SIZE_MAX, "the weights file");
  let offset = 4 + viewOf(bytes).getUint32(0, true);
  const { id, config, tensors } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, offset)));
  const found = new Map();
  for (const [name, type, shape] of tensors) {
    const length = shape.reduce((product, side) => product * side, 1);
    const width = type === "F16" ? 2 : ARRAYS[type].BYTES_PER_ELEMENT;
    check(offset + length * width <= bytes.length, "the weights file is cut off");
    const numbers = new Uint8Array(length * width);
    for (let byte = 0; byte < width; byte++) {
      for (let i = 0; i < length; i++) numbers[i * width + byte] = bytes[offset++];
    }
    const data = type === "F16" ? widened(new Uint16Array(numbers.buffer)) : new ARRAYS[type](numbers.buffer);
    found.set(name, { shape, data });
  }
  return { id, config, tensors: found };
}

/** All half-precision numbers, by their bits. */
const HALVES = new Float32Array(65536);
for (let bits = 0; bits < HALVES.length; bits++) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
  HALVES[bits] = bits & 0x8000 ? -size : size;
}

/** Half-precision numbers, given by their bits, as float32. */
export function widened(halves) {
  const numbers = new Float32Array(halves.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = HALVES[halves[i]];
  return numbers;
}
