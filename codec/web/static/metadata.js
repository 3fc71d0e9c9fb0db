/** What people want to know of a picture, and how it stands upright. */

import { viewOf } from "./container.js";

const ORIENTATION = 0x112;
const TEXTS = { 0x10f: "Camera", 0x110: "Model", 0x132: "Date", 0x8298: "Copyright", 0x10e: "Description" };
const SECTIONS = {
  iccp: "colour profile", exif: "EXIF", "xmp ": "XMP", cicp: "colour space", mdcv: "mastering display", clli: "light level",
};
const [TEXT, SHORT] = [2, 3];

/**
 * Orientation, 1 to 8, and texts by their labels, out of an EXIF block's first directory; what is damaged is left out.
 *
 * @param {Uint8Array} [block]
 */
export function readExif(block) {
  const found = { orientation: 1, texts: {} };
  if (!block) return found;
  const tiff = String.fromCharCode(...block.subarray(0, 4)) === "Exif" ? block.subarray(6) : block;
  const [view, little] = [viewOf(tiff), tiff[0] === 0x49];
  try {
    const start = view.getUint32(4, little);
    for (let i = 0, count = view.getUint16(start, little); i < count; i++) {
      const at = start + 2 + 12 * i;
      const [tag, type, length] = [view.getUint16(at, little), view.getUint16(at + 2, little), view.getUint32(at + 4, little)];
      if (tag === ORIENTATION && type === SHORT) found.orientation = view.getUint16(at + 8, little);
      if (TEXTS[tag] && type === TEXT) {
        const place = length > 4 ? view.getUint32(at + 8, little) : at + 8;
        const text = new TextDecoder().decode(tiff.subarray(place, place + Math.min(length, 500)));
        found.texts[TEXTS[tag]] = text.replace(/\0[^]*/, "").trim();
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  if (!(found.orientation >= 1 && found.orientation <= 8)) found.orientation = 1;
  return found;
}

/** Lines of [label, text] about a decoded file. */
export function describe({ header, metadata }, bytes) {
  const colours = ["gray", "gray and alpha", "RGB", "RGB and alpha"][header.channels - 1];
  const lossless = !/[^0]/.test(header.modelId);
  const rate = (8 * bytes) / (header.width * header.height);
  const lines = [
    ["Size", `${header.width} × ${header.height} pixels`],
    ["Samples", `${colours}, ${header.depth} bits`],
    ["Quality", lossless ? "lossless" : String(header.quality)],
    ["File", `${bytes.toLocaleString("en")} bytes, ${rate.toFixed(2)} bits per pixel`],
    ...Object.entries(readExif(metadata.exif).texts).filter(([, text]) => text),
  ];
  const sizeOf = (data) => (typeof data === "string" ? data : `${data.length.toLocaleString("en")} bytes`);
  const present = Object.keys(SECTIONS).filter((name) => metadata[name]);
  const named = present.map((name) => `${SECTIONS[name]} (${sizeOf(metadata[name])})`);
  if (named.length) lines.push(["Metadata", named.join(", ")]);
  return lines;
}

/**
 * The picture in 8 bits and upright, as it is shown.
 *
 * @returns {{samples: Uint8Array, width: number, height: number, channels: number}}
 */
export function shown({ header, metadata, samples }) {
  const { width, height, channels, depth } = header;
  const { orientation } = readExif(metadata.exif);
  if (depth === 8 && orientation === 1) return { samples, width, height, channels };
  const isSwapped = orientation >= 5;
  const turned = { width: isSwapped ? height : width, height: isSwapped ? width : height, channels };
  turned.samples = new Uint8Array(samples.length);
  const largest = 2 ** depth - 1;
  for (let r = 0, at = 0; r < turned.height; r++) {
    for (let c = 0; c < turned.width; c++) {
      const y = [3, 4, 7, 8].includes(orientation) ? turned.height - 1 - r : r;
      const x = [2, 3, 6, 7].includes(orientation) ? turned.width - 1 - c : c;
      const from = (isSwapped ? x * width + y : y * width + x) * channels;
      for (let k = 0; k < channels; k++) turned.samples[at++] = Math.round((samples[from + k] * 255) / largest);
    }
  }
  return turned;
}
