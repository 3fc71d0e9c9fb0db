/** The networks' arithmetic in WebAssembly with SIMD, on float32 arrays in one memory; a few layers, so written out here. */

import {
  addition, assemble, constant, get, greater, increase, lesser, load, loadSplat, minus, multiplication, plus, repeat, set,
  splat, store, times, until, when,
} from "./assembler.js";

const PAGE = 65536;
/** Columns of a product that are computed together: two vectors. */
const COLUMNS = 8;
/** Rows of a product that are computed together; arrays have room for a multiple of these. */
const ROWS = 4;
/** Positions for which a layer's inputs and outputs stay in the processor's cache. */
const CHUNK = 256;

const numbers = (count, first = 0) => Array.from({ length: count }, (_, i) => first + i);

/**
 * y <- clamp(activation(x w + b) + (y if residual), -limit, limit), with activation(a) = max(a, slope * a).
 *
 * x has `blocks` times ROWS rows of `stride` bytes. w is in panels of COLUMNS columns, each (inputs, COLUMNS). y has rows of
 * `pitch` bytes.
 */
function product() {
  const [x, w, b, y, blocks, stride, pitch, panels, slope, residual, limit] = numbers(11);
  const [row, left, weight, end, out, ...input] = numbers(9, 11);
  const [value, a0, a1, slopes, high, low, ...sums] = numbers(14, 20);
  const multiply = (sum, factor) => [get(sum), get(value), get(factor), times, plus, set(sum)];
  const step = (k) => [
    get(weight), load(32 * k), set(a0), get(weight), load(32 * k + 16), set(a1),
    input.map((address, i) => [
      get(address), loadSplat(4 * k), set(value), multiply(sums[2 * i], a0), multiply(sums[2 * i + 1], a1),
    ]),
  ];
  const finish = (sum, offset) => [
    get(sum), get(sum), get(slopes), times, greater, set(sum),
    when(residual, [get(sum), get(out), load(offset), plus, set(sum)]),
    get(out), get(sum), get(low), greater, get(high), lesser, store(offset),
  ];
  const block = [
    get(row), set(input[0]), input.slice(1).map((address, i) => [get(input[i]), get(stride), addition, set(address)]),
    get(w), set(weight), get(input[1]), set(end),
    sums.map((sum, i) => [get(b), load(16 * (i % 2)), set(sum)]),
    until(input[0], end, [numbers(4).map(step), input.map((address) => increase(address, 16)), increase(weight, 128)]),
    input.map((_, i) => [finish(sums[2 * i], 0), finish(sums[2 * i + 1], 16), increase(out, get(pitch))]),
    increase(row, [get(stride), constant(ROWS), multiplication]),
  ];
  const body = [
    get(slope), splat, set(slopes), get(limit), splat, set(high), get(low), get(high), minus, set(low),
    repeat(panels, [
      get(x), set(row), get(y), set(out), get(blocks), set(left), repeat(left, block),
      get(weight), set(w), increase(b, 32), increase(y, 32),
    ]),
  ];
  return { name: "product", parameters: "iiiiiiiifif", locals: "i".repeat(9) + "v".repeat(14), body };
}

/**
 * y <- each channel's 3 x 3 cross-correlation of x, which has a border of zeros.
 *
 * x is (height + 2, width + 2, channels), y (height, width, channels); `row` are the bytes of a row of x, `pitch` those of a
 * position. w is (channels / 4, 9, 4).
 */
function depthwise() {
  const [x, w, b, y, height, width, row, pitch] = numbers(8);
  const [left, weight, bias, end, ...taps] = numbers(13, 8);
  const sum = 21;
  const body = [
    taps.map((tap, t) => [
      get(x), get(row), constant(Math.floor(t / 3)), multiplication, addition,
      get(pitch), constant(t % 3), multiplication, addition, set(tap),
    ]),
    repeat(height, [
      get(width), set(left),
      repeat(left, [
        get(w), set(weight), get(b), set(bias), get(b), get(pitch), addition, set(end),
        until(bias, end, [
          get(bias), load(), set(sum),
          taps.map((tap, t) => [
            get(sum), get(tap), load(), get(weight), load(16 * t), times, plus, set(sum), increase(tap, 16),
          ]),
          get(y), get(sum), store(), increase(y, 16), increase(weight, 144), increase(bias, 16),
        ]),
      ]),
      taps.map((tap) => increase(tap, [get(pitch), constant(2), multiplication])),
    ]),
  ];
  return { name: "depthwise", parameters: "iiiiiiii", locals: "i".repeat(13) + "v", body };
}

/** y <- v * min(max(g / 6 + 1 / 2, 0), 1) for rows of values v and gates g, `half` bytes each; y has `rows` rows of them. */
function gate() {
  const [x, y, rows, half, sixth, middle, one] = numbers(7);
  const [end, zeros, gates] = [7, 8, 9];
  const body = repeat(rows, [
    get(x), get(half), addition, set(end),
    until(x, end, [
      get(x), get(half), addition, load(), get(sixth), splat, times, get(middle), splat, plus, set(gates),
      get(y), get(gates), get(zeros), greater, get(one), splat, lesser, get(x), load(), times, store(),
      increase(x, 16), increase(y, 16),
    ]),
    increase(x, get(half)),
  ]);
  return { name: "gate", parameters: "iiiifff", locals: "ivv", body: [body] };
}

/** Rows, rounded up to those computed together. */
const padded = (rows) => Math.ceil(rows / ROWS) * ROWS;

/** Arrays in the kernels' memory, named by their address, and what is computed on them. */
export class Kernels {
  /** @returns {Promise<Kernels>} */
  static async create() {
    const memory = new WebAssembly.Memory({ initial: 16 });
    const { instance } = await WebAssembly.instantiate(assemble([product(), depthwise(), gate()]), { env: { memory } });
    return new Kernels(memory, instance.exports);
  }

  constructor(memory, functions) {
    this.memory = memory;
    this.functions = functions;
    this.top = 16;
  }

  /** The address of a new array of rows * channels numbers of any value, with room for `padded` rows. */
  allocate(rows, channels) {
    const address = this.top;
    this.top += Math.ceil((padded(rows) * channels) / 4) * 16;
    const missing = Math.ceil((this.top - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) this.memory.grow(missing);
    return address;
  }

  /** What a function gives; arrays that it allocates are gone then. */
  scratch(work) {
    const top = this.top;
    try {
      return work();
    } finally {
      this.top = top;
    }
  }

  /** The numbers of an array, until the next one is allocated. */
  view(address, length) {
    return new Float32Array(this.memory.buffer, address, length);
  }

  /** A layer for `linear`. weight is (inputs, outputs), bias (outputs); both in arrays that stay. */
  layer(weight, bias, inputs, outputs) {
    if (inputs % 4 || outputs % COLUMNS) throw new Error(`a layer of ${inputs} to ${outputs} channels is not supported here`);
    const layer = { inputs, outputs, weight: this.allocate(inputs, outputs), bias: this.allocate(1, outputs) };
    const packed = this.view(layer.weight, inputs * outputs);
    for (let panel = 0, at = 0; panel < outputs; panel += COLUMNS) {
      for (let k = 0; k < inputs; k++, at += COLUMNS) {
        packed.set(weight.subarray(k * outputs + panel, k * outputs + panel + COLUMNS), at);
      }
    }
    this.view(layer.bias, outputs).set(bias);
    return layer;
  }

  /** A layer for `depthwise`. weight is (9, channels), bias (channels). */
  depthwiseLayer(weight, bias, channels) {
    const layer = { channels, weight: this.allocate(9, channels), bias: this.allocate(1, channels) };
    const packed = this.view(layer.weight, 9 * channels);
    for (let i = 0; i < packed.length; i++) {
      const [tap, channel] = [Math.floor(i / 4) % 9, Math.floor(i / 36) * 4 + (i % 4)];
      packed[i] = weight[tap * channels + channel];
    }
    this.view(layer.bias, channels).set(bias);
    return layer;
  }

  /**
   * max(a, slope * a) with a = x * weight + bias, for (rows, inputs): (rows, outputs), in a new array.
   *
   * Where `onto` names an array, it is added to that, and the sum is clamped to -limit to limit.
   */
  linear(x, rows, layer, { slope = 1, onto = 0, limit = Infinity } = {}) {
    const { inputs, outputs, weight, bias } = layer;
    const y = onto || this.allocate(rows, outputs);
    for (let first = 0; first < rows; first += CHUNK) {
      const blocks = padded(Math.min(CHUNK, rows - first)) / ROWS;
      this.functions.product(
        x + 4 * first * inputs, weight, bias, y + 4 * first * outputs, blocks, 4 * inputs, 4 * outputs, outputs / COLUMNS,
        slope, onto, limit,
      );
    }
    return y;
  }

  /** 3 x 3 cross-correlations of each channel, zero beyond the borders, in a new array. */
  depthwise(x, height, width, layer) {
    const { channels } = layer;
    const y = this.allocate(height * width, channels);
    this.scratch(() => {
      const pitch = (width + 2) * channels;
      const framed = this.allocate(height + 2, pitch);
      const target = this.view(framed, (height + 2) * pitch).fill(0);
      const source = this.view(x, height * width * channels);
      for (let r = 0; r < height; r++) {
        target.set(source.subarray(r * width * channels, (r + 1) * width * channels), (r + 1) * pitch + channels);
      }
      this.functions.depthwise(framed, layer.weight, layer.bias, y, height, width, 4 * pitch, 4 * channels);
    });
    return y;
  }

  /** Values times their gates, in a new array: (rows, 2 * channels) to (rows, channels). */
  gate(x, rows, channels) {
    const y = this.allocate(rows, channels);
    this.functions.gate(x, y, rows, 4 * channels, 1 / 6, 0.5, 1);
    return y;
  }
}
