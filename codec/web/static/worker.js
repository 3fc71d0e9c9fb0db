/** Decodes beside the page, which stays usable, and which can end this at any time. */

import { FileError } from "./container.js";
import { Model, decode } from "./decoder.js";
import { describe, shown } from "./metadata.js";
import { writePng } from "./png.js";
import { readWeights } from "./weights.js";

let model = null;
let decoded = null;

/** The page sends `weights`, then a `file` to decode, or asks for the PNG to `save`. */
self.onmessage = async ({ data: { weights, file, save } }) => {
  try {
    if (weights) model = readWeights(weights).then(Model.create);
    if (file) await show(file);
    if (save) self.postMessage({ saved: await writePng({ ...decoded.header, samples: decoded.samples }, decoded.metadata) });
  } catch (error) {
    const isShort = error instanceof RangeError || error instanceof WebAssembly.RuntimeError;
    const why = isShort ? "this device has too little memory for the picture" : `the decoder failed (${error.message})`;
    self.postMessage({ error: error instanceof FileError ? error.message : why });
  }
};

async function show(file) {
  const findModel = async (id) => {
    if (!model) throw new FileError(`the file needs the weights with id ${id}, which this page does not have`);
    return model;
  };
  decoded = await decode(file, { findModel, onProgress: (done) => self.postMessage({ done }) });
  const { iccp, cicp } = decoded.metadata;
  const picture = shown(decoded);
  const colours = { ...(iccp && { iccp }), ...(cicp && { cicp }) };
  const { width, height } = picture;
  self.postMessage({ picture: await writePng(picture, colours), width, height, facts: describe(decoded, file.length) });
}
