/** Bits and canonical prefix codes of lossless WebP. */

import { check } from "./container.js";

/** Bits of a code that one look into a table resolves. */
const ROOT = 8;
const LONGEST = 15;
/** Order in which the lengths of the code of lengths stand. */
const ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/** Reads bits, the lowest of each byte first; zeros beyond the end, after which `isOver` says so. */
export class BitReader {
  constructor(data) {
    this.end = 8 * data.length;
    this.at = 0;
    this.data = new Uint8Array(data.length + 8);
    this.data.set(data);
  }

  get isOver() {
    return this.at > this.end;
  }

  /** The next bits, at least 25, as the low ones of a number. */
  peek() {
    const [data, byte] = [this.data, this.at >> 3];
    return (data[byte] | (data[byte + 1] << 8) | (data[byte + 2] << 16) | (data[byte + 3] << 24)) >>> (this.at & 7);
  }

  /** A number of at most 24 bits. */
  read(count) {
    const value = this.peek() & (2 ** count - 1);
    this.at += count;
    return value;
  }
}

/** A code whose symbols are given by their codes' lengths alone. */
export class PrefixCode {
  /** Reads the lengths of a code of `size` symbols. */
  static read(bits, size) {
    check(!bits.isOver, "a WebP file is cut off");
    const lengths = new Uint8Array(size);
    if (bits.read(1)) {
      const count = bits.read(1) + 1;
      const symbols = [bits.read(bits.read(1) ? 8 : 1), ...(count > 1 ? [bits.read(8)] : [])];
      // as libwebp has it, symbols that the alphabet lacks are passed over
      for (const symbol of symbols) if (symbol < size) lengths[symbol] = 1;
    } else {
      readLengths(bits, lengths);
    }
    return new PrefixCode(lengths);
  }

  /** @param {Uint8Array} lengths of each symbol's code; 0 where a symbol has none */
  constructor(lengths) {
    this.counts = new Uint16Array(LONGEST + 1);
    for (const length of lengths) this.counts[length]++;
    this.counts[0] = 0;
    const used = this.counts.reduce((sum, count) => sum + count, 0);
    const space = this.counts.reduce((sum, count, length) => sum + count * 2 ** (LONGEST - length), 0);
    check(used === 1 || (used > 1 && space === 2 ** LONGEST), "a WebP file has a bad prefix code");
    this.symbols = new Uint16Array(used);
    const next = new Uint16Array(LONGEST + 2);
    for (let length = 1; length <= LONGEST; length++) next[length + 1] = next[length] + this.counts[length];
    lengths.forEach((length, symbol) => {
      if (length) this.symbols[next[length]++] = symbol;
    });
    // the only symbol of a code takes no bits
    this.only = used === 1 ? this.symbols[0] : -1;
    if (used > 1) this.fillTable();
  }

  /** Table of the codes of at most ROOT bits, by the next bits: symbol * 16 + length; 0 for longer codes. */
  fillTable() {
    this.table = new Uint16Array(2 ** ROOT);
    for (let length = 1, code = 0, at = 0; length <= ROOT; length++, code *= 2) {
      for (let i = 0; i < this.counts[length]; i++, code++, at++) {
        const step = 2 ** length;
        for (let j = reversed(code, length); j < this.table.length; j += step) this.table[j] = this.symbols[at] * 16 + length;
      }
    }
  }

  /** Pops a symbol. */
  pop(bits) {
    if (this.only >= 0) return this.only;
    let next = bits.peek();
    const entry = this.table[next & (2 ** ROOT - 1)];
    if (entry) {
      bits.at += entry & 15;
      return entry >> 4;
    }
    // canonical codes in order of length: each length's first code and first symbol follow from those before
    for (let length = 1, code = 0, first = 0, at = 0; length <= LONGEST; length++, next >>>= 1) {
      code = code * 2 + (next & 1);
      const count = this.counts[length];
      if (code - first < count) {
        bits.at += length;
        return this.symbols[at + code - first];
      }
      at += count;
      first = (first + count) * 2;
    }
    throw new Error("an impossible prefix code");
  }
}

function reversed(code, length) {
  let result = 0;
  for (let bit = 0; bit < length; bit++) result |= ((code >> bit) & 1) << (length - 1 - bit);
  return result;
}

function readLengths(bits, lengths) {
  const inner = new Uint8Array(ORDER.length);
  const count = 4 + bits.read(4);
  for (let i = 0; i < count; i++) inner[ORDER[i]] = bits.read(3);
  const code = new PrefixCode(inner);
  let left = bits.read(1) ? 2 + bits.read(2 + 2 * bits.read(3)) : lengths.length;
  check(left <= lengths.length, "a WebP file has a bad prefix code");
  for (let symbol = 0, before = 8; symbol < lengths.length && left > 0; left--) {
    const length = code.pop(bits);
    if (length < 16) {
      lengths[symbol++] = length;
      if (length) before = length;
    } else {
      const [least, extra] = [[3, 2], [3, 3], [11, 7]][length - 16];
      const repeats = least + bits.read(extra);
      check(symbol + repeats <= lengths.length, "a WebP file has a bad prefix code");
      if (length === 16) lengths.fill(before, symbol, symbol + repeats);
      symbol += repeats;
    }
  }
}
