/** The page around the decoder: takes files, shows the picture with its facts, and saves it. */

const element = (id) => document.getElementById(id);
const [viewport, image, status, saving] = ["viewport", "picture", "status", "save"].map(element);
/** Times by which one press or turn of the wheel zooms, and the largest size of a pixel. */
const [STEP, LARGEST] = [1.25, 32];

let worker = null;
let started = 0;
let name = "picture.cae";
/** Where the picture stands: its size in pixels, and the scale and place in the viewport, in pixels of CSS. */
const place = { width: 1, height: 1, scale: 1, x: 0, y: 0, isWhole: true };

/** Bytes of an element that holds them as base64; null where there is none. */
function embedded(id) {
  const text = atob(element(id).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.length ? bytes : null;
}

function report(text, isError = false) {
  status.textContent = text;
  status.hidden = !text;
  status.classList.toggle("error", isError);
}

/** Decodes a file in a new worker; what another one was doing ends. */
function open(file, fileName) {
  name = fileName;
  started = performance.now();
  element("name").textContent = document.title = name;
  image.hidden = saving.disabled = true;
  element("facts").replaceChildren();
  document.body.dataset.state = "decoding";
  report("Decoding …");
  worker?.terminate();
  worker = new Worker(URL.createObjectURL(new Blob([element("decoder").textContent], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => take(data);
  worker.onerror = (event) => fail(`the decoder did not start (${event.message})`);
  const weights = embedded("weights");
  if (weights) worker.postMessage({ weights }, [weights.buffer]);
  worker.postMessage({ file });
}

function fail(message) {
  document.body.dataset.state = "failed";
  report(`${name}: ${message}`, true);
}

function take({ done, error, picture, width, height, facts, saved }) {
  if (error) fail(error);
  else if (saved) download(saved);
  else if (picture) show(picture, width, height, facts);
  else report(`Decoding … ${Math.floor(100 * done)} %`);
}

async function show(picture, width, height, facts) {
  facts.push(["Decoded in", `${((performance.now() - started) / 1000).toFixed(1)} s`]);
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(picture);
  element("facts").replaceChildren(...facts.flatMap(([label, text]) => [made("dt", label), made("dd", text)]));
  Object.assign(place, { width, height });
  try {
    await image.decode();
  } catch {
    fail("this browser cannot show so large a picture; it can be saved");
    saving.disabled = false;
    return;
  }
  image.hidden = saving.disabled = false;
  document.body.dataset.state = "shown";
  report("");
  showAll();
}

function made(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

function download(picture) {
  const link = made("a", "");
  link.href = URL.createObjectURL(picture);
  link.download = name.replace(/(\.cae)?$/i, ".png");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  saving.disabled = false;
  report("");
}

/** Scales at which all of the picture is seen, not enlarged, and at which a pixel is one of the screen. */
const scaleOfAll = () => Math.min(viewport.clientWidth / place.width, viewport.clientHeight / place.height, 1);
const exactScale = () => 1 / devicePixelRatio;
const clamped = (scale) => Math.min(LARGEST, Math.max(scale, Math.min(scaleOfAll(), exactScale())));

/** Moves the picture, so that it neither leaves the viewport nor stands beside the middle of one with room. */
function move(scale, x, y) {
  const within = (at, size, room) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(at, room - size)));
  place.scale = clamped(scale);
  place.x = within(x, place.width * place.scale, viewport.clientWidth);
  place.y = within(y, place.height * place.scale, viewport.clientHeight);
  image.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
  image.style.imageRendering = place.scale * devicePixelRatio > 2 ? "pixelated" : "auto";
}

/** Zooms to a scale; the point (x, y) of the viewport keeps its place. */
function zoom(scale, x = viewport.clientWidth / 2, y = viewport.clientHeight / 2) {
  const factor = clamped(scale) / place.scale;
  place.isWhole = false;
  move(scale, x - (x - place.x) * factor, y - (y - place.y) * factor);
}

function showAll() {
  place.isWhole = true;
  move(scaleOfAll(), 0, 0);
}

const pointers = new Map();
/** Middle of the pointers that are down, and their distance from it. */
function grip() {
  const all = [...pointers.values()];
  const mean = (key) => all.reduce((sum, point) => sum + point[key], 0) / all.length;
  const [x, y] = [mean("x"), mean("y")];
  return { x, y, spread: Math.hypot(all[0].x - x, all[0].y - y) };
}

function pointed(event) {
  const { left, top } = viewport.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

viewport.addEventListener("pointerdown", (event) => {
  viewport.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, pointed(event));
});
viewport.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return;
  const before = grip();
  pointers.set(event.pointerId, pointed(event));
  const after = grip();
  move(place.scale, place.x + after.x - before.x, place.y + after.y - before.y);
  if (before.spread && after.spread) zoom((place.scale * after.spread) / before.spread, after.x, after.y);
});
for (const type of ["pointerup", "pointercancel"]) viewport.addEventListener(type, (event) => pointers.delete(event.pointerId));
viewport.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { x, y } = pointed(event);
  zoom(place.scale * STEP ** (-event.deltaY / 100), x, y);
}, { passive: false });
viewport.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => {
  const [dx, dy] = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[key] ?? [0, 0];
  if (ctrlKey || metaKey) return;
  if (dx || dy) move(place.scale, place.x + dx, place.y + dy);
  else if (key === "+") zoom(place.scale * STEP);
  else if (key === "-") zoom(place.scale / STEP);
  else if (key === "0") showAll();
});
new ResizeObserver(() => (place.isWhole ? showAll() : move(place.scale, place.x, place.y))).observe(viewport);

element("nearer").onclick = () => zoom(place.scale * STEP);
element("further").onclick = () => zoom(place.scale / STEP);
element("whole").onclick = showAll;
element("full-size").onclick = () => zoom(exactScale());
saving.onclick = () => {
  saving.disabled = true;
  report("Writing PNG …");
  worker.postMessage({ save: true });
};

async function openChosen(file) {
  if (file) open(new Uint8Array(await file.arrayBuffer()), file.name);
}
element("chosen").onchange = ({ target }) => openChosen(target.files[0]);
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  openChosen(event.dataTransfer.files[0]);
});

const file = embedded("file");
if (file) open(file, element("file").dataset.name);
else report("Drop a .cae file here, or choose one.");
