/** `node node.js WEIGHTS.safetensors PICTURE.cae PICTURE.png` decodes outside browsers, with the package's weights. */

import { readFile, writeFile } from "node:fs/promises";
import { FileError } from "./container.js";
import { Model, decode } from "./decoder.js";
import { writePng } from "./png.js";
import { readSafetensors } from "./safetensors.js";

const [weights, source, target] = process.argv.slice(2);
try {
  const findModel = async () => Model.create(readSafetensors(new Uint8Array(await readFile(weights))));
  const { header, metadata, samples } = await decode(await readFile(source), { findModel });
  const png = await writePng({ ...header, samples }, metadata);
  await writeFile(target, new Uint8Array(await png.arrayBuffer()));
} catch (error) {
  if (!(error instanceof FileError)) throw error;
  console.error(`${source}: ${error.message}`);
  process.exitCode = 1;
}
