/** Writes PNG files, exactly and in all depths, which a canvas cannot. */

import { crc32, joined, viewOf } from "./container.js";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10);
const COLOUR_TYPES = [0, 4, 2, 6];
/** PNG's filter by the row above and the pixel to the left, which suits photographs. */
const PAETH = 4;
const CHUNKS = { cicp: "cICP", mdcv: "mDCV", clli: "cLLI" };

/**
 * A PNG file of samples (height, width, channels) as they are, in 8 bits, or in 16 where they are a Uint16Array.
 *
 * @param {{samples: Uint8Array|Uint16Array, width: number, height: number, channels: number}} picture
 * @param {Object<string, Uint8Array|string>} metadata by their names in a `.cae` file
 * @returns {Promise<Blob>}
 */
export async function writePng({ samples, width, height, channels }, metadata) {
  const size = samples.BYTES_PER_ELEMENT;
  const header = new Uint8Array(13);
  const view = viewOf(header);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8 * size, COLOUR_TYPES[channels - 1], 0, 0, 0], 8);
  const rows = filtered(size === 2 ? bigEndian(samples) : samples, height, width * channels * size, channels * size);
  const parts = [SIGNATURE, ...chunk("IHDR", header), ...(await describe(metadata)), ...chunk("IDAT", await deflate(rows))];
  return new Blob([...parts, ...chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

function bigEndian(samples) {
  const bytes = new Uint8Array(2 * samples.length);
  for (let i = 0; i < samples.length; i++) {
    bytes[2 * i] = samples[i] >> 8;
    bytes[2 * i + 1] = samples[i] & 255;
  }
  return bytes;
}

/** Rows of bytes, each behind its filter's number, less what the filter predicts of them. */
function filtered(bytes, height, stride, unit) {
  const rows = new Uint8Array(height * (stride + 1));
  for (let r = 0, at = 0, from = 0; r < height; r++) {
    rows[at++] = PAETH;
    for (let i = 0; i < stride; i++, at++, from++) {
      const left = i >= unit ? bytes[from - unit] : 0;
      const above = r ? bytes[from - stride] : 0;
      const corner = r && i >= unit ? bytes[from - stride - unit] : 0;
      rows[at] = bytes[from] - nearest(left, above, corner);
    }
  }
  return rows;
}

function nearest(left, above, corner) {
  const [toLeft, toAbove, toCorner] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)];
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** Chunks of the metadata that PNG has a place for. */
async function describe({ iccp, exif, "xmp ": xmp, ...others }) {
  const chunks = [];
  for (const [name, type] of Object.entries(CHUNKS)) if (others[name]) chunks.push(...chunk(type, others[name]));
  if (iccp === "sRGB") chunks.push(...chunk("sRGB", Uint8Array.of(0)));
  else if (iccp) chunks.push(...chunk("iCCP", text("ICC profile\0\0"), await deflate(iccp)));
  if (exif) chunks.push(...chunk("eXIf", String.fromCharCode(...exif.subarray(0, 6)) === "Exif\0\0" ? exif.subarray(6) : exif));
  if (xmp) chunks.push(...chunk("iTXt", text("XML:com.adobe.xmp\0\0\0\0\0"), xmp));
  return chunks;
}

function chunk(type, ...content) {
  const [length, name, crc] = [new Uint8Array(4), text(type), new Uint8Array(4)];
  viewOf(length).setUint32(0, content.reduce((sum, part) => sum + part.length, 0));
  viewOf(crc).setUint32(0, crc32(name, ...content));
  return [length, name, ...content, crc];
}

const text = (value) => new TextEncoder().encode(value);

async function deflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  const parts = [];
  const reader = stream.getReader();
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) parts.push(value);
  return joined(parts);
}
