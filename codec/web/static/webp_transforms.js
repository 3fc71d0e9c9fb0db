/** Transforms of lossless WebP, undone. Pixels are 32-bit numbers: alpha, red, green and blue from the top. */

/** Undoes a transform {kind, width, height, bits, columns, data}; gives the pixels. */
export function undo(transform, pixels) {
  return [predict, restoreColours, addGreen, lookUp][transform.kind](pixels, transform);
}

function addGreen(pixels) {
  for (let i = 0; i < pixels.length; i++) {
    const green = (pixels[i] >>> 8) & 255;
    pixels[i] = added(pixels[i], (green << 16) | green);
  }
  return pixels;
}

/** Every other byte of a pixel: alpha and green, red and blue. */
const [ODD, EVEN] = [0xff00ff00, 0x00ff00ff];

/** Sums of each of the four bytes, modulo 256. */
function added(a, b) {
  const [odd, even] = [(a & ODD) + (b & ODD), (a & EVEN) + (b & EVEN)];
  return ((odd & ODD) | (even & EVEN)) >>> 0;
}

const signedByte = (value) => (value << 24) >> 24;
const delta = (factor, colour) => (signedByte(factor) * signedByte(colour)) >> 5;

function restoreColours(pixels, { width, bits, columns, data }) {
  for (let i = 0; i < pixels.length; i++) {
    const row = Math.floor(i / width);
    const factors = data[(row >> bits) * columns + ((i - row * width) >> bits)];
    const [pixel, green] = [pixels[i], pixels[i] >>> 8];
    const red = (pixel >>> 16) + delta(factors, green);
    const blue = pixel + delta(factors >>> 8, green) + delta(factors >>> 16, red);
    pixels[i] = ((pixel & 0xff00ff00) | ((red & 255) << 16) | (blue & 255)) >>> 0;
  }
  return pixels;
}

function lookUp(pixels, { width, height, bits, data }) {
  for (let i = 1; i < data.length; i++) data[i] = added(data[i], data[i - 1]);
  const [image, columns, size] = [new Uint32Array(width * height), Math.ceil(width / 2 ** bits), 8 >> bits];
  for (let r = 0, at = 0; r < height; r++) {
    for (let c = 0; c < width; c++, at++) {
      const packed = pixels[r * columns + (c >> bits)] >>> 8;
      const index = (packed >>> ((c & (2 ** bits - 1)) * size)) & (2 ** size - 1);
      image[at] = index < data.length ? data[index] : 0;
    }
  }
  return image;
}

/** Means of each of the four bytes of two pixels, rounded down. */
const average = (a, b) => ((((a ^ b) & 0xfefefefe) >>> 1) + (a & b)) >>> 0;

/** Of two pixels, that which is nearer to left + top - corner. */
function select(left, top, corner) {
  let difference = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    const [l, t, c] = [(left >>> shift) & 255, (top >>> shift) & 255, (corner >>> shift) & 255];
    difference += Math.abs(t - c) - Math.abs(l - c);
  }
  return difference < 0 ? left : top;
}

/** Applies a function of three bytes to each of the four of three pixels, and clamps what it gives. */
function each(a, b, c, work) {
  let result = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    const value = work((a >>> shift) & 255, (b >>> shift) & 255, (c >>> shift) & 255);
    result |= Math.max(0, Math.min(value, 255)) << shift;
  }
  return result >>> 0;
}

const BLACK = 0xff000000;
/** What the modes predict from the pixels to the left, above, and above to the left and right. */
const PREDICTORS = [
  () => BLACK,
  (l) => l,
  (l, t) => t,
  (l, t, tl, tr) => tr,
  (l, t, tl) => tl,
  (l, t, tl, tr) => average(average(l, tr), t),
  (l, t, tl) => average(l, tl),
  (l, t) => average(l, t),
  (l, t, tl) => average(tl, t),
  (l, t, tl, tr) => average(t, tr),
  (l, t, tl, tr) => average(average(l, tl), average(t, tr)),
  select,
  (l, t, tl) => each(l, t, tl, (a, b, c) => a + b - c),
  (l, t, tl) => each(average(l, t), tl, 0, (a, b) => a + Math.trunc((a - b) / 2)),
  () => BLACK,
  () => BLACK,
];

function predict(pixels, { width, bits, columns, data }) {
  for (let i = 0; i < pixels.length; i++) {
    const row = Math.floor(i / width);
    const column = i - row * width;
    let predicted;
    if (!row) predicted = column ? pixels[i - 1] : BLACK;
    else if (!column) predicted = pixels[i - width];
    else {
      const mode = (data[(row >> bits) * columns + (column >> bits)] >>> 8) & 15;
      predicted = PREDICTORS[mode](pixels[i - 1], pixels[i - width], pixels[i - width - 1], pixels[i - width + 1]);
    }
    pixels[i] = added(pixels[i], predicted);
  }
  return pixels;
}
