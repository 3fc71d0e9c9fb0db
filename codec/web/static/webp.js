/** Lossless WebP (RFC 9649), by hand: browsers give pixels out after colour management and multiplied by alpha. */

import { check, viewOf } from "./container.js";
import { BitReader, PrefixCode } from "./prefix_code.js";
import { undo } from "./webp_transforms.js";

const [LITERALS, LENGTHS, DISTANCES] = [256, 24, 40];
/** Places of near pixels that short distance codes stand for: rows up, then 8 minus columns to the left, four bits each. */
const NEAR = Uint8Array.from(
  (
    "1807171928062729161a262a38053739151b363a252b48044749141c353b464a242c58454b343c03" +
    "5759131d565a232d444c555b333d68026769121e666a222e545c434d656b323e78017779535d111f" +
    "646c424e767a212f757b313f636d525e00747c414f1020626e30737d515f40727e616f50717f6070"
  ).match(/../g),
  (pair) => parseInt(pair, 16),
);
/** Transforms with parameters of their own; the fourth kind, 2, has none. */
const [PREDICTOR, CROSS_COLOUR, INDEXED] = [0, 1, 3];

/**
 * Pixels (height * width) of one WebP file as 32-bit numbers: alpha, red, green and blue from the top.
 *
 * @param {Uint8Array} data
 * @returns {Uint32Array}
 */
export function readWebp(data, height, width) {
  const tag = (at) => String.fromCharCode(...data.subarray(at, at + 4));
  check(data.length >= 25 && tag(0) + tag(8) + tag(12) === "RIFFWEBPVP8L" && data[20] === 0x2f, "no lossless WebP file");
  const view = viewOf(data);
  const [file, chunk, sides] = [view.getUint32(4, true), view.getUint32(16, true), view.getUint32(21, true)];
  const isWhole = file + 8 === data.length && chunk + (chunk % 2) + 20 === data.length;
  check(isWhole, "a WebP file is cut off, or has more than one chunk");
  const [w, h] = [(sides & 0x3fff) + 1, ((sides >>> 14) & 0x3fff) + 1];
  check(w === width && h === height, "a WebP file is of another size than its tile");
  check(sides >>> 29 === 0, "a WebP file is of an unknown version");
  // the byte that fills up an odd chunk may be read, as libwebp reads it
  const pixels = readImage(new BitReader(data.subarray(25)), width, height);
  if (!((sides >>> 28) & 1)) for (let i = 0; i < pixels.length; i++) pixels[i] |= 0xff000000;
  return pixels;
}

function readImage(bits, width, height) {
  const transforms = [];
  let coded = width;
  while (bits.read(1)) {
    const kind = bits.read(2);
    check(!transforms.some((other) => other.kind === kind), "a WebP file has a transform twice");
    const transform = { kind, width: coded, height };
    if (kind === PREDICTOR || kind === CROSS_COLOUR) {
      transform.bits = bits.read(3) + 2;
      transform.columns = Math.ceil(coded / 2 ** transform.bits);
      transform.data = readPixels(bits, transform.columns, Math.ceil(height / 2 ** transform.bits), false);
    } else if (kind === INDEXED) {
      const size = bits.read(8) + 1;
      transform.data = readPixels(bits, size, 1, false);
      transform.bits = size <= 2 ? 3 : size <= 4 ? 2 : size <= 16 ? 1 : 0;
      coded = Math.ceil(coded / 2 ** transform.bits);
    }
    transforms.push(transform);
  }
  const pixels = readPixels(bits, coded, height, true);
  return transforms.reduceRight((image, transform) => undo(transform, image), pixels);
}

/** Pixels of an image, or of one that holds a transform's parameters or (not `isMain`) prefix codes' numbers. */
function readPixels(bits, width, height, isMain) {
  const cacheBits = bits.read(1) ? bits.read(4) : 0;
  check(cacheBits <= 11, "a WebP file has too large a cache");
  const groups = { bits: 0, columns: 0, numbers: null, count: 1 };
  if (isMain && bits.read(1)) {
    groups.bits = bits.read(3) + 2;
    groups.columns = Math.ceil(width / 2 ** groups.bits);
    const image = readPixels(bits, groups.columns, Math.ceil(height / 2 ** groups.bits), false);
    groups.numbers = image.map((pixel) => (pixel >>> 8) & 0xffff);
    groups.count = groups.numbers.reduce((most, number) => Math.max(most, number), 0) + 1;
  }
  const sizes = [LITERALS + LENGTHS + (cacheBits ? 2 ** cacheBits : 0), LITERALS, LITERALS, LITERALS, DISTANCES];
  groups.codes = Array.from({ length: groups.count }, () => sizes.map((size) => PrefixCode.read(bits, size)));
  return readSymbols(bits, new Uint32Array(width * height), width, groups, cacheBits);
}

function readSymbols(bits, pixels, width, groups, cacheBits) {
  const cache = new Uint32Array(cacheBits ? 2 ** cacheBits : 0);
  let inCache = 0;
  const fillCache = (end) => {
    for (; inCache < end; inCache++) cache[Math.imul(0x1e35a7bd, pixels[inCache]) >>> (32 - cacheBits)] = pixels[inCache];
  };
  const codesAt = (i) => {
    if (!groups.numbers) return groups.codes[0];
    const row = Math.floor(i / width);
    return groups.codes[groups.numbers[(row >> groups.bits) * groups.columns + ((i - row * width) >> groups.bits)]];
  };
  for (let i = 0; i < pixels.length; ) {
    const [green, red, blue, alpha, distance] = codesAt(i);
    const symbol = green.pop(bits);
    if (symbol < LITERALS) {
      pixels[i++] = ((red.pop(bits) << 16) | (symbol << 8) | blue.pop(bits) | (alpha.pop(bits) << 24)) >>> 0;
    } else if (symbol < LITERALS + LENGTHS) {
      const length = readNumber(bits, symbol - LITERALS);
      const back = distanceOf(readNumber(bits, distance.pop(bits)), width);
      check(back <= i && i + length <= pixels.length, "a WebP file copies from outside the picture");
      for (const end = i + length; i < end; i++) pixels[i] = pixels[i - back];
    } else {
      fillCache(i);
      pixels[i++] = cache[symbol - LITERALS - LENGTHS];
    }
  }
  check(!bits.isOver, "a WebP file is cut off");
  return pixels;
}

/** A length or distance code: its symbol's number and the bits after it. */
function readNumber(bits, prefix) {
  if (prefix < 4) return prefix + 1;
  const extra = (prefix - 2) >> 1;
  return ((2 + (prefix & 1)) << extra) + bits.read(extra) + 1;
}

function distanceOf(code, width) {
  if (code > NEAR.length) return code - NEAR.length;
  const near = NEAR[code - 1];
  return Math.max(1, (near >> 4) * width + 8 - (near & 15));
}
