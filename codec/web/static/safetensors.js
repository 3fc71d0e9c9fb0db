/** Reads the package's own weights files, for programs outside browsers; pages get the packed ones of `weights.js`. */

import { ARRAYS, widened } from "./weights.js";
import { check, viewOf } from "./container.js";

/** The configuration where a file does not say. */
const CONFIG = {
  channels: 128, latent_channels: 320, hyper_channels: 96, entropy_channels: 192, priors: 64, context_blocks: 2,
  leading_channels: 64, synthesis_blocks: 7, synthesis_expansion: 2, synthesis_wide_blocks: 0, synthesis_wide_expansion: 2,
  levels: 16, quality_levels: [-0.75, 15.5],
};

/**
 * What `readWeights` gives, out of a `.safetensors` file.
 *
 * @param {Uint8Array} file
 */
export function readSafetensors(file) {
  const start = 8 + Number(viewOf(file).getBigUint64(0, true));
  const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  check(metadata?.role === "model", "the weights file holds no model");
  const tensors = new Map();
  for (const [name, { dtype, shape, data_offsets: [first, end] }] of Object.entries(entries)) {
    const { buffer } = file.slice(start + first, start + end);
    const data = dtype === "F16" ? widened(new Uint16Array(buffer)) : new ARRAYS[dtype](buffer);
    tensors.set(name, name.endsWith(".weight") ? transposed(data, shape) : { shape, data });
  }
  return { id: metadata.id, config: { ...CONFIG, ...JSON.parse(metadata.config) }, tensors };
}

/** A layer's weights (outputs, inputs, …) as (inputs, outputs). */
function transposed(data, [outputs]) {
  const inputs = data.length / outputs;
  const turned = new data.constructor(data.length);
  for (let i = 0; i < data.length; i++) turned[(i % inputs) * outputs + Math.floor(i / inputs)] = data[i];
  return { shape: [inputs, outputs], data: turned };
}
