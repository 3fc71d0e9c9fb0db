/** Lossless and mixed payloads of FORMAT.md, on top of WebP. */

import { check, viewOf } from "./container.js";
import { readWebp } from "./webp.js";

/** Puts a part's lossless samples into the picture's. */
export function paint(samples, part, header) {
  const { depth, channels, colours, width } = header;
  const { image, rest, shift } = readFiles(part, depth);
  const largest = 2 ** shift - 1;
  for (let i = 0; i < image.length; i++) {
    if (part.transform && image[i] >>> 24 === 0) continue;
    const to = ((part.top + Math.floor(i / part.width)) * width + part.left + (i % part.width)) * channels;
    const sample = (bits) => {
      const high = (image[i] >>> bits) & 255;
      if (!shift) return high;
      const low = (rest[i] >>> bits) & 255;
      check(low <= largest, `a sample has more than ${depth} bits`);
      return high * (largest + 1) + ((low + Math.floor((high * largest + 127) / 255)) & largest);
    };
    if (part.isAlpha) samples[to + colours] = sample(8);
    else if (colours === 1) samples[to] = sample(8);
    else for (let k = 0; k < 3; k++) samples[to + k] = sample(16 - 8 * k);
  }
}

/** The WebP files of a part: `image`, and for high bit depth `rest` with the low `shift` bits. */
function readFiles({ lossless, height, width }, depth) {
  if (depth === 8) return { image: readWebp(lossless, height, width), rest: null, shift: 0 };
  check(lossless.length >= 4, "a lossless part is cut off");
  const end = 4 + viewOf(lossless).getUint32(0, true);
  check(end < lossless.length, "a lossless part is cut off");
  const image = readWebp(lossless.subarray(4, end), height, width);
  return { image, rest: readWebp(lossless.subarray(end), height, width), shift: depth - 8 };
}
