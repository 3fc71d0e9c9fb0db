/** A whole decoder: bytes of a `.cae` file to samples. */

import { ceil, check, readHeader, readIndex, readSections } from "./container.js";
import { Kernels } from "./kernels.js";
import { paint } from "./lossless.js";
import { Means, Synthesis } from "./networks.js";
import { SymbolReader } from "./scales.js";

/** Pixels from which a picture is refused unless the caller allows more. */
export const PIXELS_MAX = 2 ** 26;

/** What turns payloads into pixels. */
export class Model {
  /** @param {{id: string, config: Object, tensors: Map}} weights as `readWeights` gives them */
  static async create(weights) {
    return new Model(weights, await Kernels.create());
  }

  constructor(weights, kernels) {
    this.id = weights.id;
    this.channels = weights.config.latent_channels;
    this.symbols = new SymbolReader(weights, kernels);
    this.means = new Means(weights, kernels);
    this.synthesis = new Synthesis(weights, kernels);
  }
}

/**
 * Decodes a file; FileError where it is damaged or breaks a rule.
 *
 * @param {Uint8Array} data
 * @param {Object} options
 * @param {(id: string) => Promise<Model>} options.findModel gives the model with an id; not called where all is lossless
 * @param {number} [options.pixelsMax] of the picture, counting whole tiles
 * @param {(done: number) => void} [options.onProgress] gets the part that is done, 0 to 1
 * @param {(symbols: Object) => void} [options.onSymbols] gets the symbols of each tile that has any
 * @returns {Promise<{header: Object, metadata: Object, samples: Uint8Array|Uint16Array}>} samples are (height, width,
 *   channels), 0 to 2**depth - 1, alpha last
 */
export async function decode(data, { findModel, pixelsMax = PIXELS_MAX, onProgress = () => {}, onSymbols = () => {} }) {
  const header = readHeader(data);
  const { metadata, end } = await readSections(data, header.sections);
  const parts = readIndex(data, header, end);
  const padded = ceil(header.width, 64) * ceil(header.height, 64) * 4096;
  check(padded <= pixelsMax, `the picture, ${header.width} x ${header.height}, has more pixels than fit here`);
  const samples = new (header.depth === 8 ? Uint8Array : Uint16Array)(header.width * header.height * header.channels);
  if (parts.some((part) => part.transform)) {
    const model = await findModel(header.modelId);
    check(model.id === header.modelId, `the file needs the weights with id ${header.modelId}, which are not here`);
    transform(model, parts, header, samples, onProgress, onSymbols);
  }
  for (const part of parts) if (part.lossless) paint(samples, part, header);
  onProgress(1);
  return { header, metadata, samples };
}

/** Puts the transform's pixels into the samples; a third of the work is reading symbols. */
function transform(model, parts, header, samples, onProgress, onSymbols) {
  const latent = readLatent(model, parts, header, (done) => onProgress(done / 3), onSymbols);
  let rows = 0;
  model.synthesis.eachWindow(latent, header.quality, (window, pixels) => {
    put(window, pixels, header, samples);
    rows += window.height * window.width;
    onProgress(1 / 3 + (2 / 3) * (rows / (latent.height * latent.width * 256)));
  });
}

function readLatent(model, parts, header, onProgress, onSymbols) {
  const [height, width, n] = [ceil(header.height, 16), ceil(header.width, 16), model.channels];
  const latent = { height, width, data: new Float32Array(height * width * n) };
  parts.forEach((part, number) => {
    if (part.transform) {
      const symbols = model.symbols.read(part, header.quality);
      onSymbols(symbols);
      const tile = model.means.reconstruct(symbols, header.quality);
      const run = symbols.grid.width * n;
      for (let r = 0; r < symbols.grid.height; r++) {
        latent.data.set(tile.subarray(r * run, (r + 1) * run), ((part.top / 16 + r) * width + part.left / 16) * n);
      }
    }
    onProgress((number + 1) / parts.length);
  });
  return latent;
}

/** Rounds a window's pixels to samples of the picture. */
function put(window, pixels, { width, height, channels, colours, depth }, samples) {
  const largest = 2 ** depth - 1;
  const sample = (value) => Math.max(0, Math.min(Math.round((value + 0.5) * largest), largest));
  for (let r = 0; r < Math.min(window.height, height - window.top); r++) {
    for (let c = 0; c < Math.min(window.width, width - window.left); c++) {
      const from = (r * window.width + c) * 3;
      const to = ((window.top + r) * width + window.left + c) * channels;
      if (colours === 1) samples[to] = sample((pixels[from] + pixels[from + 1] + pixels[from + 2]) / 3);
      else for (let k = 0; k < 3; k++) samples[to + k] = sample(pixels[from + k]);
    }
  }
}
