/** The entropy coder: constriction's AnsCoder with 32-bit words, a 64-bit state and frequencies that sum to 2**24. */

import { check, viewOf } from "./container.js";

const TOTAL = 2 ** 24;
const WORD = 2 ** 32;
/** No symbol may be as large. */
const VALUE_END = 2 ** 23;

/** A table's lower bounds L(0) to L(E), from its E frequencies. */
export function boundsOf(frequencies) {
  const entries = frequencies.length;
  const bounds = new Float64Array(entries + 1);
  let sum = 0;
  for (let i = 0; i < entries; i++) sum += frequencies[i];
  const scale = (TOTAL - entries) / sum;
  for (let i = 0, before = 0; i < entries; before += frequencies[i++]) bounds[i] = Math.floor(before * scale) + i;
  bounds[entries] = TOTAL;
  return bounds;
}

/** Pops symbols from a payload. The state is kept in two halves below 2**32, as numbers hold but 53 bits. */
export class AnsCoder {
  /**
   * @param {Uint8Array} payload whole words
   * @param {number} least bytes of the shortest payload of this tile, which zero words may fill up
   */
  constructor(payload, least) {
    const view = viewOf(payload);
    this.words = Uint32Array.from({ length: payload.length / 4 }, (_, i) => view.getUint32(4 * i, true));
    this.count = this.words.length;
    if (payload.length === least) while (this.count && !this.words[this.count - 1]) this.count--;
    check(!this.count || this.words[this.count - 1], "a tile's payload ends with a zero word");
    this.high = this.low = 0;
    this.refill();
    this.refill();
  }

  /** Whether nothing is left to pop. */
  get isEmpty() {
    return !this.count && !this.high && !this.low;
  }

  refill() {
    if (this.high === 0 && this.count) {
      this.high = this.low;
      this.low = this.words[--this.count];
    }
  }

  /** Takes the entry from `lower` to `upper` off the state. */
  advance(lower, upper) {
    const range = upper - lower;
    const quotient = this.high * 256 + (this.low >>> 24);
    // products of at most 53 bits: the quotient, below 2**40, in two parts
    const top = Math.floor(quotient / 65536) * range;
    const rest = (top % 65536) * 65536 + (quotient % 65536) * range + ((this.low & (TOTAL - 1)) - lower);
    this.low = rest % WORD;
    this.high = Math.floor(top / 65536) + Math.floor(rest / WORD);
    this.refill();
  }

  /** Pops an entry of a table with these bounds. */
  popEntry(bounds) {
    const target = this.low & (TOTAL - 1);
    let [entry, end] = [0, bounds.length - 1];
    while (end - entry > 1) {
      const middle = (entry + end) >> 1;
      if (bounds[middle] <= target) entry = middle;
      else end = middle;
    }
    this.advance(bounds[entry], bounds[entry + 1]);
    return entry;
  }

  /** Pops a number below `entries`, all as likely. */
  popUniform(entries) {
    const size = Math.floor(TOTAL / entries);
    const entry = Math.min(Math.floor((this.low & (TOTAL - 1)) / size), entries - 1);
    this.advance(entry * size, entry === entries - 1 ? TOTAL : (entry + 1) * size);
    return entry;
  }

  /**
   * Pops values under one table, then those of them that escaped it.
   *
   * @param {Float64Array} bounds of the table
   * @param {Int32Array} values takes them, where `order` says, from `first` up to but without `end`
   */
  popValues(bounds, values, order, first, end) {
    const largest = (bounds.length - 3) / 2;
    const escaped = [];
    for (let i = first; i < end; i++) {
      const value = this.popEntry(bounds) - largest;
      values[order[i]] = value;
      if (value > largest) escaped.push(order[i]);
    }
    if (escaped.length) this.popEscaped(largest, values, escaped);
  }

  popEscaped(largest, values, places) {
    const bits = places.map(() => this.popUniform(32));
    const signs = places.map(() => (this.popUniform(2) ? -1 : 1));
    const low = bits.map((count) => (count > 0 ? this.popUniform(2 ** Math.min(count, 16)) : 0));
    const high = bits.map((count) => (count > 16 ? this.popUniform(2 ** (count - 16)) : 0));
    places.forEach((place, i) => {
      const size = largest + 2 ** bits[i] + high[i] * 65536 + low[i];
      check(size < VALUE_END, "a tile holds a value beyond 24 bits");
      values[place] = signs[i] * size;
    });
  }
}
