/** The few instructions of WebAssembly that the kernels need, as nested arrays of bytes, and the module around them. */

/** Bytes of an unsigned number below 2**32, seven bits in each. */
const unsigned = (value) => (value < 128 ? [value] : [(value % 128) | 128, ...unsigned(Math.floor(value / 128))]);

/** Bytes of a signed number, seven bits in each. */
const signed = (value) => (value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, ...signed(value >> 7)]);

const vector = (code) => [0xfd, ...unsigned(code)];

export const get = (local) => [0x20, local];
export const set = (local) => [0x21, local];
export const constant = (value) => [0x41, ...signed(value)];
export const addition = 0x6a;
export const multiplication = 0x6c;
export const splat = vector(0x13);
export const plus = vector(0xe4);
export const minus = vector(0xe5);
export const times = vector(0xe6);
/** Of two vectors, the lesser or greater values; one instruction each, unlike min and max, as NaN does not matter. */
export const lesser = vector(0xea);
export const greater = vector(0xeb);

/** Four float32 from an address on the stack. */
export const load = (offset = 0) => [vector(0), 0, ...unsigned(offset)];
/** One float32, four times. */
export const loadSplat = (offset = 0) => [vector(9), 0, ...unsigned(offset)];
export const store = (offset = 0) => [vector(11), 0, ...unsigned(offset)];

/** local <- local + value, where value is a number or instructions. */
export const increase = (local, value) => [
  get(local), typeof value === "number" ? constant(value) : value, addition, set(local),
];

/** Runs a body at least once, and again while a local is unequal to another. */
export const until = (local, end, body) => [0x03, 0x40, body, get(local), get(end), 0x47, 0x0d, 0, 0x0b];

/** Runs a body at least once, as often as a local says, which ends as 0. */
export const repeat = (local, body) => [
  0x03, 0x40, body, get(local), constant(1), 0x6b, 0x22, local, 0x0d, 0, 0x0b,
];

/** Runs a body if a local is not 0. */
export const when = (local, body) => [get(local), 0x04, 0x40, body, 0x0b];

const TYPES = { i: 0x7f, f: 0x7d, v: 0x7b };
const sized = (bytes) => [...unsigned(bytes.length), ...bytes];
const list = (items) => [...unsigned(items.length), ...items.flat(Infinity)];
const text = (value) => sized([...new TextEncoder().encode(value)]);
const section = (number, items) => [number, ...sized(list(items))];

/**
 * A module of functions without results, on a memory that is imported as `env.memory`.
 *
 * @param {{name: string, parameters: string, locals: string, body: any[]}[]} functions types are a letter for each value:
 *   i (32-bit integer), f (float32), v (four float32)
 * @returns {Uint8Array}
 */
export function assemble(functions) {
  const types = functions.map(({ parameters }) => [0x60, list([...parameters].map((letter) => [TYPES[letter]])), 0]);
  const codes = functions.map(({ locals, body }) => {
    const declared = list([...locals].map((letter) => [1, TYPES[letter]]));
    return sized([...declared, ...body.flat(Infinity), 0x0b]);
  });
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, types),
    ...section(2, [[text("env"), text("memory"), 0x02, 0, 1]]),
    ...section(3, functions.map((_, number) => unsigned(number))),
    ...section(7, functions.map(({ name }, number) => [text(name), 0, unsigned(number)])),
    ...section(10, codes),
  ]);
}
