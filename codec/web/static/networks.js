/** The networks of FORMAT.md: means of a tile's latent, and the synthesis of pixels from the picture's latent. */

/** Positions at 1/8 that one block's second step holds at once, so that they stay in the processor's cache. */
const CHUNK = 256;
/** Side of a window of the synthesis, in positions of the latent; its halo comes on top. */
const WINDOW = 64;
const EDGES = [[-1, 0], [0, -1], [0, 1], [1, 0]];
const WIDE_LIMIT = 40;
const LIMIT = 20;

/** Makes the layers of named networks, and runs their blocks. */
class Layers {
  constructor({ config, tensors }, kernels) {
    this.config = config;
    this.kernels = kernels;
    this.tensors = tensors;
  }

  numbers(name) {
    return this.tensors.get(name).data;
  }

  linear(name) {
    const { shape, data } = this.tensors.get(`${name}.weight`);
    return this.kernels.layer(data, this.numbers(`${name}.bias`), ...shape);
  }

  block(name) {
    const [{ shape, data }, bias] = [this.tensors.get(`${name}.depthwise.weight`), this.numbers(`${name}.depthwise.bias`)];
    const block = { depthwise: this.kernels.depthwiseLayer(data, bias, shape[1]) };
    for (const part of ["mix_in", "mix_out", "up", "down"]) block[part] = this.linear(`${name}.${part}`);
    return block;
  }

  blocks(name, count) {
    return Array.from({ length: count }, (_, number) => this.block(`${name}.${number}`));
  }

  /** The row of a table at a quality's level; beyond the ends it extrapolates. */
  row(name, quality) {
    const [{ shape: [rows, length], data: table }, levels] = [this.tensors.get(name), this.config.quality_levels];
    const place = ((quality - 1) / 99) * (levels.length - 1);
    const i = Math.min(Math.floor(place), levels.length - 2);
    const level = levels[i] + (place - i) * (levels[i + 1] - levels[i]);
    const low = Math.max(0, Math.min(Math.floor(level), rows - 2));
    return Float32Array.from({ length }, (_, j) => {
      const value = table[low * length + j];
      return value + (level - low) * (table[(low + 1) * length + j] - value);
    });
  }

  /** The exponential of a row. */
  gain(name, quality) {
    return this.row(name, quality).map(Math.exp);
  }

  /** Adds a block's two steps to x (height, width, channels), in place; `gated` is that of the synthesis. */
  run(block, x, height, width, { gated, limit }) {
    const { kernels } = this;
    const [rows, channels, slope] = [height * width, block.down.outputs, gated ? 0.1 : 0];
    kernels.scratch(() => {
      const mixed = kernels.depthwise(kernels.linear(x, rows, block.mix_in, { slope }), height, width, block.depthwise);
      kernels.linear(mixed, rows, block.mix_out, { onto: x });
    });
    for (let first = 0; first < rows; first += CHUNK) {
      kernels.scratch(() => {
        const [part, count] = [x + 4 * first * channels, Math.min(CHUNK, rows - first)];
        const up = kernels.linear(part, count, block.up, { slope: gated ? 1 : 0 });
        const inner = gated ? kernels.gate(up, count, block.down.inputs) : up;
        kernels.linear(inner, count, block.down, { onto: part, limit });
      });
    }
  }

  /** Adds a vector to, or multiplies by it, each of the rows of an array in the kernels' memory. */
  combine(x, rows, vector, multiply) {
    const values = this.kernels.view(x, rows * vector.length);
    for (let i = 0, n = vector.length; i < values.length; i += n) {
      for (let j = 0; j < n; j++) values[i + j] = multiply ? values[i + j] * vector[j] : values[i + j] + vector[j];
    }
  }

  /** Pixel-shuffle by n in a new array: (height, width, n * n * channels) to (n * height, n * width, channels). */
  enlarge(x, height, width, n, channels) {
    const [y, run] = [this.kernels.allocate(height * width * n * n, channels), n * channels];
    const [from, to] = [x, y].map((address) => this.kernels.view(address, height * width * n * run));
    for (let r = 0, at = 0; r < height; r++) {
      for (let c = 0; c < width; c++) {
        for (let i = 0; i < n; i++, at += run) to.set(from.subarray(at, at + run), ((r * n + i) * width + c) * run);
      }
    }
    return y;
  }
}

/** The upper left part of x (…, from, channels), as (height, width, channels) in a new array. */
function cropped(kernels, x, from, height, width, channels) {
  const y = kernels.allocate(height * width, channels);
  const [source, target] = [kernels.view(x, height * from * channels), kernels.view(y, height * width * channels)];
  for (let r = 0; r < height; r++) {
    target.set(source.subarray(r * from * channels, (r * from + width) * channels), r * width * channels);
  }
  return y;
}

/** Means: from a tile's symbols to its latent. */
export class Means extends Layers {
  constructor(weights, kernels) {
    super(weights, kernels);
    const name = "means/hyper_synthesis";
    this.enter = this.linear(`${name}.enter`);
    this.blockHalf = this.block(`${name}.block_half`);
    this.upsample = this.linear(`${name}.upsample`);
    this.blockFull = this.block(`${name}.block`);
    this.anchorBlock = this.block("means/anchor_block");
    for (const part of ["anchor_head", "embed", "context_head"]) this[part] = this.linear(`means/${part}`);
    this.contextBlocks = this.blocks("means/context_blocks", this.config.context_blocks);
  }

  /** The latent (h, w, N) Float32Array of what SymbolReader gives, in units of 1/64 of a quantisation step. */
  reconstruct({ hyper, latent, grid }, quality) {
    const { kernels } = this;
    const [n, count, plain] = [this.config.latent_channels, grid.height * grid.width, { gated: false, limit: Infinity }];
    return kernels.scratch(() => {
      const features = this.features(hyper, quality, grid);
      this.run(this.anchorBlock, features, grid.height, grid.width, plain);
      const means = kernels.linear(features, count, this.anchor_head);
      const embedded = kernels.allocate(count, n);
      const [known, inner] = [kernels.view(means, count * n).slice(), kernels.view(embedded, count * n)];
      for (let i = 0; i < latent.length; i++) inner[i] = isAnchor(i, n, grid.width) ? Math.asinh(known[i] + latent[i]) : 0;
      kernels.linear(embedded, count, this.embed, { onto: features });
      for (const block of this.contextBlocks) this.run(block, features, grid.height, grid.width, plain);
      const others = kernels.linear(features, count, this.context_head);
      const found = kernels.view(others, count * n);
      this.addNeighbours(found, latent, grid);
      for (let i = 0; i < latent.length; i++) {
        const mean = isAnchor(i, n, grid.width) ? known[i] : found[i];
        found[i] = Math.round((mean + latent[i]) * 64);
      }
      return found.slice();
    });
  }

  /** Steps 1 to 5: features (h, w, H) of a tile, from its hyper-latent. */
  features(hyper, quality, { height, width, rows, columns }) {
    const { kernels } = this;
    const [z, h, plain] = [this.config.hyper_channels, this.config.entropy_channels, { gated: false, limit: Infinity }];
    const input = kernels.allocate(rows * columns, z);
    kernels.view(input, hyper.length).set(hyper);
    const half = this.enlarge(kernels.linear(input, rows * columns, this.enter), rows, columns, 2, z);
    this.run(this.blockHalf, half, 2 * rows, 2 * columns, plain);
    const full = this.enlarge(kernels.linear(half, 4 * rows * columns, this.upsample), 2 * rows, 2 * columns, 2, h);
    this.combine(full, 16 * rows * columns, this.row("means/quality_bias", quality), false);
    this.run(this.blockFull, full, 4 * rows, 4 * columns, plain);
    return cropped(kernels, full, 4 * columns, height, width, h);
  }

  /** Step 11: adds weighted symbols of the same channel around each position to the means (h, w, N). */
  addNeighbours(means, latent, { height, width }) {
    const { latent_channels: n, leading_channels: leading } = this.config;
    const weights = this.numbers("means/neighbour_weight");
    EDGES.forEach(([i, j], edge) => {
      for (let r = Math.max(0, -i); r < height - Math.max(0, i); r++) {
        for (let c = Math.max(0, -j); c < width - Math.max(0, j); c++) {
          const [at, from] = [(r * width + c) * n, ((r + i) * width + c + j) * n];
          for (let m = 0; m < leading; m++) means[at + m] += weights[edge * leading + m] * latent[from + m];
        }
      }
    });
  }
}

/** Whether the number i of an array (h, w, n) belongs to stages 0 and 1. */
function isAnchor(i, n, width) {
  const position = Math.floor(i / n);
  return (Math.floor(position / width) + (position % width) + (i % n)) % 2 === 0;
}

/** Synthesis: from a picture's latent to its pixels, window by window. */
export class Synthesis extends Layers {
  constructor(weights, kernels) {
    super(weights, kernels);
    const { config } = this;
    this.wide = this.blocks("synthesis/wide_blocks", config.synthesis_wide_blocks);
    this.fromLatent = this.linear("synthesis/from_latent");
    this.narrow = this.blocks("synthesis/blocks", config.synthesis_blocks);
    this.patchOut = this.linear("synthesis/patch_out");
    /** Positions of the latent beyond a window that its pixels depend on. */
    this.halo = this.wide.length + Math.ceil(this.narrow.length / 2);
  }

  /**
   * Calls `take(window, pixels)` with each window {top, left, height, width} in pixels and its (height, width, 3) pixels, of
   * about -1/2 to 1/2.
   *
   * @param {{height: number, width: number, data: Float32Array}} latent the picture's, (h, w, N)
   */
  eachWindow(latent, quality, take) {
    const gains = this.gains(quality);
    for (let top = 0; top < latent.height; top += WINDOW) {
      for (let left = 0; left < latent.width; left += WINDOW) {
        const [bottom, right] = [Math.min(top + WINDOW, latent.height), Math.min(left + WINDOW, latent.width)];
        const inner = { top, left, bottom, right };
        this.kernels.scratch(() => this.window(latent, inner, gains, take));
      }
    }
  }

  /** Factors of the latent's channels, of the first blocks' and of the others'. */
  gains(quality) {
    const latent = this.gain("levels/log_gain", quality).map((gain) => 1 / (64 * gain));
    if (this.wide.length) this.gain("synthesis/log_wide_gain", quality).forEach((gain, i) => (latent[i] *= gain));
    return { latent, features: this.gain("synthesis/log_feature_gain", quality) };
  }

  window(latent, inner, gains, take) {
    const { kernels, halo } = this;
    const [n, c] = [this.config.latent_channels, this.config.channels];
    const [top, left] = [Math.max(0, inner.top - halo), Math.max(0, inner.left - halo)];
    const height = Math.min(inner.bottom + halo, latent.height) - top;
    const width = Math.min(inner.right + halo, latent.width) - left;
    const x = kernels.allocate(height * width, n);
    const input = kernels.view(x, height * width * n);
    for (let r = 0; r < height; r++) {
      const start = ((top + r) * latent.width + left) * n;
      input.set(latent.data.subarray(start, start + width * n), r * width * n);
    }
    this.combine(x, height * width, gains.latent, true);
    for (const block of this.wide) this.run(block, x, height, width, { gated: true, limit: WIDE_LIMIT });
    const features = this.enlarge(kernels.linear(x, height * width, this.fromLatent), height, width, 2, c);
    this.combine(features, 4 * height * width, gains.features, true);
    for (const block of this.narrow) this.run(block, features, 2 * height, 2 * width, { gated: true, limit: LIMIT });
    const [high, wide] = [inner.bottom - inner.top, inner.right - inner.left];
    const offset = 2 * (inner.top - top) * 2 * width + 2 * (inner.left - left);
    const shown = cropped(kernels, features + 4 * offset * c, 2 * width, 2 * high, 2 * wide, c);
    const pixels = this.enlarge(kernels.linear(shown, 4 * high * wide, this.patchOut), 2 * high, 2 * wide, 8, 3);
    const place = { top: 16 * inner.top, left: 16 * inner.left, height: 16 * high, width: 16 * wide };
    take(place, kernels.view(pixels, place.height * place.width * 3));
  }
}
