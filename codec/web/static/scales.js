/** Priors, hyper-latent and latent of a tile, with the scale model of FORMAT.md, which uses integers alone. */

import { AnsCoder, boundsOf } from "./ans.js";
import { ceil, check } from "./container.js";

/** Surprise of each magnitude, before what is expected is taken off; the last one stands for all larger ones. */
const SURPRISES = Float32Array.from({ length: 32 }, (_, size) => Math.round(24 * Math.log2(1 + size)));
const EDGES = [[-1, 0], [0, -1], [0, 1], [1, 0]];
const CORNERS = [[-1, -1], [-1, 1], [1, -1], [1, 1]];

const clamp = (value, least, most) => Math.max(least, Math.min(value, most));
/** FORMAT.md's R: x / 2**s, rounded. */
const shifted = (x, s) => (x + ((1 << s) >> 1)) >> s;

/** Pops the symbols of tiles. Products are exact in float32, as no sum reaches 2**24. */
export class SymbolReader {
  /**
   * @param {{config: Object, tensors: Map}} weights
   * @param {import("./kernels.js").Kernels} kernels
   */
  constructor({ config, tensors }, kernels) {
    this.kernels = kernels;
    this.channels = config.latent_channels;
    this.hyperChannels = config.hyper_channels;
    check(this.channels % 8 === 0, `${this.channels} channels of the latent are no multiple of 8`);
    this.tensor = (name) => tensors.get(name).data;
    this.tables = this.readTables();
    this.priorCount = tensors.get("priors/frequencies").shape[1];
    this.maps = this.makeMaps();
    this.contexts = [0, 1, 2, 3].map((residue) => this.makeContext(residue));
  }

  readTables() {
    const all = this.tensor("tables/scale.frequencies");
    let end = 0;
    return Array.from(this.tensor("tables/scale.lengths"), (length) => boundsOf(all.subarray(end, (end += length))));
  }

  /** For each of the 4 x 4 places of a latent above its hyper-latent, the layer (4Z, N) of the base. */
  makeMaps() {
    const [inputs, all] = [4 * this.hyperChannels, this.tensor("scales/map.weight")];
    const bias = new Float32Array(this.channels);
    return Array.from({ length: 16 }, (_, place) => {
      const weight = new Float32Array(inputs * this.channels);
      for (let k = 0; k < inputs; k++) {
        const at = (k * 16 + place) * this.channels;
        weight.set(all.subarray(at, at + this.channels), k * this.channels);
      }
      return this.kernels.layer(weight, bias, inputs, this.channels);
    });
  }

  /**
   * The layer of the correction of the channels n with a residue modulo 4.
   *
   * Its inputs are N surprises at a position, N / 4 sums of those around it, of channels with the residue, and N / 4 of the
   * corners. Its outputs are padded with zeros to a multiple of 8.
   */
  makeContext(residue) {
    const [n, quarter] = [this.channels, this.channels / 4];
    const outputs = ceil(quarter, 8) * 8;
    const weight = new Float32Array((n + 2 * quarter) * outputs);
    const [own, edge, diagonal] = ["own", "edge", "diagonal"].map((name) => this.tensor(`scales/${name}.weight`));
    for (let j = 0; j < quarter; j++) {
      for (let m = 0; m < n; m++) weight[m * outputs + j] = own[m * n + 4 * j + residue];
      for (let m = 0; m < quarter; m++) {
        const from = (4 * m + residue) * n + 4 * j + residue;
        weight[(n + m) * outputs + j] = edge[from];
        weight[(n + quarter + m) * outputs + j] = diagonal[from];
      }
    }
    return this.kernels.layer(weight, new Float32Array(outputs), n + 2 * quarter, outputs);
  }

  /**
   * All symbols of a tile of height x width pixels: Int32Array of `priors` (h/64, w/64), `hyper` (h/64, w/64, Z), `latent`
   * and `index`, their scale indices, (h/16, w/16, N).
   */
  read({ transform, least, height, width }, quality) {
    const coder = new AnsCoder(transform, least);
    const grid = { height: ceil(height, 16), width: ceil(width, 16), rows: ceil(height, 64), columns: ceil(width, 64) };
    const priors = this.popPriors(coder, quality, grid.rows * grid.columns);
    const hyper = this.popHyper(coder, priors);
    const { latent, index } = this.kernels.scratch(() => this.popStages(coder, this.base(hyper, quality, grid), grid));
    check(coder.isEmpty, "a tile's payload holds more than its symbols");
    return { priors, hyper, latent, index, grid };
  }

  popPriors(coder, quality, count) {
    const k = this.priorCount;
    const frequencies = this.tensor("priors/frequencies").subarray((quality - 1) * k, quality * k);
    const priors = new Int32Array(count);
    coder.popValues(boundsOf([...frequencies, 1, 1]), priors, priors.map((_, i) => i), 0, count);
    for (let i = 0; i < count; i++) {
      priors[i] += k / 2;
      check(priors[i] >= 0 && priors[i] < k, "a tile names a prior that the model does not have");
    }
    return priors;
  }

  popHyper(coder, priors) {
    const [z, means, indices] = [this.hyperChannels, this.tensor("priors/mean"), this.tensor("priors/index")];
    const tables = Int32Array.from({ length: priors.length * z }, (_, i) => indices[priors[Math.floor(i / z)] * z + (i % z)]);
    const hyper = this.popGroups(coder, tables);
    for (let i = 0; i < hyper.length; i++) hyper[i] += means[priors[Math.floor(i / z)] * z + (i % z)];
    return hyper;
  }

  /** A value for each number of a table, table by table. */
  popGroups(coder, tables) {
    const ends = new Int32Array(this.tables.length + 1);
    for (const table of tables) ends[table + 1]++;
    for (let i = 1; i < ends.length; i++) ends[i] += ends[i - 1];
    const order = new Int32Array(tables.length);
    const next = ends.slice();
    tables.forEach((table, i) => (order[next[table]++] = i));
    const values = new Int32Array(tables.length);
    this.tables.forEach((bounds, i) => {
      if (ends[i] < ends[i + 1]) coder.popValues(bounds, values, order, ends[i], ends[i + 1]);
    });
    return values;
  }

  popStages(coder, base, grid) {
    const [latent, index] = [new Int32Array(base.length), new Int32Array(base.length)];
    const surprise = new Float32Array(base.length);
    const expected = this.tensor("scales/expected");
    for (let stage = 0; stage < 4; stage++) {
      const { places, tables } = this.stage(stage, base, surprise, grid);
      const values = this.popGroups(coder, tables);
      for (let i = 0; i < places.length; i++) {
        const place = places[i];
        latent[place] = values[i];
        index[place] = tables[i];
        surprise[place] = SURPRISES[Math.min(Math.abs(values[i]), 31)] - expected[tables[i]];
      }
    }
    return { latent, index };
  }

  /** Places in the latent of a stage's symbols, in their order, and their scale indices. */
  stage(stage, base, surprise, grid) {
    const [n, quarter] = [this.channels, this.channels / 4];
    const [places, tables] = [[], []];
    for (const [r0, c0] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      const residue = [0, 1, 2, 3].find((i) => 2 * ((r0 + c0 + i) % 2) + ((r0 + (i >> 1)) % 2) === stage);
      const positions = [];
      for (let r = r0; r < grid.height; r += 2) for (let c = c0; c < grid.width; c += 2) positions.push([r, c]);
      if (!positions.length) continue;
      const [from, to] = [new Int32Array(positions.length * quarter), new Int32Array(positions.length * quarter)];
      const correction = stage ? this.correction(surprise, positions, residue, grid) : null;
      positions.forEach(([r, c], i) => {
        for (let j = 0; j < quarter; j++) {
          const place = (r * grid.width + c) * n + 4 * j + residue;
          from[i * quarter + j] = place;
          to[i * quarter + j] = clamp((base[place] + (correction ? correction[i * quarter + j] : 0) + 8) >> 4, 0, 63);
        }
      });
      places.push(from);
      tables.push(to);
    }
    return { places: concatenated(places), tables: concatenated(tables) };
  }

  /** Corrections (positions, N / 4) of the channels with a residue modulo 4. */
  correction(surprise, positions, residue, grid) {
    return this.kernels.scratch(() => {
      const [n, quarter, layer] = [this.channels, this.channels / 4, this.contexts[residue]];
      const input = this.kernels.allocate(positions.length, layer.inputs);
      const x = this.kernels.view(input, positions.length * layer.inputs);
      positions.forEach(([r, c], i) => {
        const at = i * layer.inputs;
        const start = (r * grid.width + c) * n;
        x.set(surprise.subarray(start, start + n), at);
        addAround(x, at + n, surprise, r, c, residue, grid, EDGES, n);
        addAround(x, at + n + quarter, surprise, r, c, residue, grid, CORNERS, n);
      });
      const sums = this.kernels.view(this.kernels.linear(input, positions.length, layer), positions.length * layer.outputs);
      const shifts = this.tensor("scales/context.shift");
      return Int32Array.from({ length: positions.length * quarter }, (_, i) => {
        const j = i % quarter;
        return shifted(sums[((i - j) / quarter) * layer.outputs + j], shifts[4 * j + residue]);
      });
    });
  }

  /** The base (h, w, N) of a tile's scales, in 1/16 of an index. */
  base(hyper, quality, { height, width, rows, columns }) {
    const [n, z] = [this.channels, this.hyperChannels];
    const bias = this.tensor("scales/bias").subarray((quality - 1) * n, quality * n);
    const shifts = this.tensor("scales/map.shift");
    const base = new Int32Array(height * width * n);
    const clamped = hyper.map((value) => clamp(value, -127, 127));
    for (let place = 0; place < 16; place++) {
      const [r0, c0] = [place >> 2, place & 3];
      const [high, wide] = [ceil(height - r0, 4), ceil(width - c0, 4)];
      if (high < 1 || wide < 1) continue;
      this.kernels.scratch(() => {
        const input = this.kernels.allocate(high * wide, 4 * z);
        const x = this.kernels.view(input, high * wide * 4 * z);
        let at = 0;
        for (let i = 0; i < high; i++) {
          for (let j = 0; j < wide; j++) {
            for (const row of [i, clamp(i + (r0 < 2 ? -1 : 1), 0, rows - 1)]) {
              for (const column of [j, clamp(j + (c0 < 2 ? -1 : 1), 0, columns - 1)]) {
                const start = (row * columns + column) * z;
                x.set(clamped.subarray(start, start + z), at);
                at += z;
              }
            }
          }
        }
        const sums = this.kernels.view(this.kernels.linear(input, high * wide, this.maps[place]), high * wide * n);
        for (let i = 0; i < high * wide; i++) {
          const target = ((r0 + 4 * Math.floor(i / wide)) * width + c0 + 4 * (i % wide)) * n;
          for (let m = 0; m < n; m++) base[target + m] = shifted(sums[i * n + m], shifts[place * n + m]) + bias[m];
        }
      });
    }
    return base;
  }
}

/** Puts floor(sum / 4) of the surprises at four offsets into x, for the channels with a residue modulo 4. */
function addAround(x, at, surprise, r, c, residue, { height, width }, offsets, n) {
  const quarter = n / 4;
  x.fill(0, at, at + quarter);
  for (const [i, j] of offsets) {
    if (r + i < 0 || r + i >= height || c + j < 0 || c + j >= width) continue;
    const start = ((r + i) * width + c + j) * n + residue;
    for (let m = 0; m < quarter; m++) x[at + m] += surprise[start + 4 * m];
  }
  for (let m = 0; m < quarter; m++) x[at + m] = Math.floor(x[at + m] / 4);
}

function concatenated(arrays) {
  const all = new Int32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}
