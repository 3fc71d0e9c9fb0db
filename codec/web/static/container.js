/** Header, metadata sections and tile index of a `.cae` file: the part of FORMAT.md before the payloads. */

/** What is wrong with a file, in words for people. */
export class FileError extends Error {}

/** Raises FileError unless a rule holds. */
export function check(rule, message) {
  if (!rule) throw new FileError(message);
}

export const ceil = (length, unit) => Math.ceil(length / unit);

export const viewOf = (data) => new DataView(data.buffer, data.byteOffset, data.byteLength);

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** CRC32 of the parts, one after another. */
export function crc32(...parts) {
  let crc = 0xffffffff;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) crc = CRC_TABLE[(crc ^ part[i]) & 255] ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/** Adler-32, zlib's checksum of what a stream unpacks to. */
function adler32(data) {
  let [low, high] = [1, 0];
  for (let i = 0; i < data.length; i++) {
    low = (low + data[i]) % 65521;
    high = (high + low) % 65521;
  }
  return high * 65536 + low;
}

/**
 * The header's fields; `tile` is the side of a tile in pixels, `modelId` in hexadecimal.
 *
 * @param {Uint8Array} data the whole file
 */
export function readHeader(data) {
  check(data.length >= 4 && [0x89, 0x43, 0x41, 0x45].every((byte, i) => data[i] === byte), "this is no .cae file");
  check(data.length >= 5, "the file is cut off in its header");
  check(data[4] === 1, `the file has format version ${data[4]}, and this decoder knows version 1 alone`);
  check(data.length >= 32, "the file is cut off in its header");
  const view = viewOf(data);
  check(crc32(data.subarray(0, 28)) === view.getUint32(28, true), "the header is damaged: its CRC does not match");
  const [channels, quality, flags] = data.subarray(5, 8);
  const [width, height] = [view.getUint32(8, true), view.getUint32(12, true)];
  const [units, sections] = [view.getUint16(16, true), view.getUint16(18, true)];
  const limits = [
    ["colour mode", channels, 4], ["quality", quality, 100], ["width", width, 2 ** 31 - 1], ["height", height, 2 ** 31 - 1],
    ["tile size", units, 32],
  ];
  for (const [name, value, most] of limits) check(value >= 1 && value <= most, `${name} ${value} is not in 1 to ${most}`);
  check(flags <= 8, `the flags ${flags} are none of version 1`);
  check(sections <= 64, `${sections} metadata sections are more than 64`);
  const modelId = [...data.subarray(20, 28)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const colours = channels > 2 ? 3 : 1;
  return { channels, colours, quality, depth: 8 + flags, width, height, tile: 64 * units, sections, modelId };
}

const KNOWN = ["iccp", "exif", "xmp ", "ordr", "cicp", "mdcv", "clli"];

/**
 * Data of the known metadata sections by name, and where the last section ends.
 *
 * The profile that is stored by name is `"sRGB"`, a string; all other data are Uint8Array.
 *
 * @returns {Promise<{metadata: Object<string, Uint8Array|string>, end: number}>}
 */
export async function readSections(data, count) {
  const view = viewOf(data);
  const [metadata, names] = [{}, new Set()];
  let offset = 32;
  for (let number = 0; number < count; number++) {
    check(offset + 12 <= data.length, "the file is cut off in its metadata");
    const name = String.fromCharCode(...data.subarray(offset, offset + 4));
    const field = view.getUint32(offset + 4, true);
    const [start, end] = [offset + 12, offset + 12 + (field & 0x3fffffff)];
    check(end <= data.length && end - start <= 2 ** 26, `metadata section ${number} is too long`);
    const stored = data.subarray(start, end);
    const crc = crc32(data.subarray(offset, offset + 8), stored);
    check(crc === view.getUint32(offset + 8, true), `metadata section ${number} is damaged: its CRC does not match`);
    check(/^[A-Za-z][\0-\x7f]{3}$/.test(name), `metadata section ${number} has no proper name`);
    check(!names.has(name), `metadata section ${name} occurs twice`);
    check(KNOWN.includes(name) || /^[a-z]/.test(name), `the critical metadata section ${name} is unknown to this decoder`);
    names.add(name);
    if (KNOWN.includes(name)) metadata[name] = await unpack(field >>> 30, stored, name);
    offset = end;
  }
  return { metadata, end: offset };
}

async function unpack(storage, stored, name) {
  check(storage <= 2, `metadata section ${name} has an unknown storage`);
  if (storage === 0) return stored;
  if (storage === 1) {
    const content = await inflate(stored, "deflate", 2 ** 24, `metadata section ${name}`);
    // not all decompressors notice bytes behind the stream, which ends with this
    const isEnd = stored.length > 4 && viewOf(stored).getUint32(stored.length - 4) === adler32(content);
    check(isEnd, `metadata section ${name} does not end with its stream`);
    return content;
  }
  const named = String.fromCharCode(...stored.subarray(0, 5));
  check(name === "iccp" && named === "sRGB", `metadata section ${name} names something unknown`);
  return "sRGB";
}

/** What a compressed stream holds, at most `most` bytes; FileError that names `what` where it is damaged or longer. */
export async function inflate(stored, format, most, what) {
  const parts = [];
  let length = 0;
  try {
    const reader = new Blob([stored]).stream().pipeThrough(new DecompressionStream(format)).getReader();
    for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
      parts.push(value);
      length += value.length;
      if (length > most) {
        await reader.cancel();
        break;
      }
    }
  } catch {
    throw new FileError(`${what} does not unpack`);
  }
  check(length <= most, `${what} unpacks to more than ${most} bytes`);
  return joined(parts);
}

/** Byte arrays, one after another. */
export function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * All payloads of a file whose index begins at an offset, tile by tile, colours first.
 *
 * Each has its tile's place in pixels, `least` (bytes of its shortest transform-coded part), and the bytes of a lossless
 * part, of a transform-coded one, or of both; the other is null.
 */
export function readIndex(data, header, offset) {
  const view = viewOf(data);
  const columns = ceil(header.width, header.tile);
  const planes = header.channels % 2 ? 1 : 2;
  let end = offset + 17 * ceil(header.height, header.tile) * columns * planes + 4;
  check(end <= data.length, "the file is cut off in its tile index");
  const crc = crc32(data.subarray(offset, end - 4));
  check(crc === view.getUint32(end - 4, true), "the tile index is damaged: its CRC does not match");
  const parts = [];
  for (let at = offset, last = end - 4; at < last; at += 17) {
    const [tile, isAlpha] = [Math.floor(parts.length / planes), parts.length % planes === 1];
    const [length, kind] = [view.getUint32(at + 8, true), data[at + 12]];
    check(Number(view.getBigUint64(at, true)) === end, `tile ${tile} does not begin where the part before it ends`);
    const lossy = (kind === 1 || kind === 3) && !isAlpha && /[^0]/.test(header.modelId);
    check(kind === 2 || lossy, `tile ${tile} is of a wrong kind`);
    const payload = data.subarray(end, end + length);
    end += length;
    check(end <= data.length, `the file is cut off in tile ${tile}`);
    check(crc32(payload) === view.getUint32(at + 13, true), `tile ${tile} is damaged: its CRC does not match`);
    const [top, left] = [Math.floor(tile / columns) * header.tile, (tile % columns) * header.tile];
    const [height, width] = [Math.min(header.tile, header.height - top), Math.min(header.tile, header.width - left)];
    const least = 4 * ceil(ceil(height, 64) * ceil(width, 64), 4);
    parts.push({ tile, top, left, height, width, isAlpha, least, ...split(kind, payload, least, tile) });
  }
  check(end === data.length, `${data.length - end} bytes follow the last tile`);
  return parts;
}

function split(kind, payload, least, tile) {
  const mixed = kind === 3;
  check(!mixed || payload.length >= 5 + least, `tile ${tile} has too few bytes`);
  const end = kind === 1 ? 0 : mixed ? 4 + viewOf(payload).getUint32(0, true) : payload.length;
  const lossless = kind === 1 ? null : payload.subarray(mixed ? 4 : 0, end);
  const transform = kind === 2 ? null : payload.subarray(end);
  check(!lossless || (lossless.length >= 1 && end <= payload.length), `the lossless part of tile ${tile} is empty or cut off`);
  check(
    !transform || (transform.length >= least && transform.length % 4 === 0),
    `tile ${tile} has too few bytes, or no whole words`,
  );
  return { lossless, transform };
}
