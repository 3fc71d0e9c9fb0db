/* Two decoded pictures behind one divider, with zoom and a common position. */
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("pictures-data").textContent);
  const find = (id) => document.getElementById(id);
  const note = find("pictures-note");
  const shown = data.images;
  const names = Object.keys(data.labels).filter((name) => shown.every((image) => image.codecs[name]));
  if (!shown.length || !names.length) {
    document.querySelector(".viewer").remove();
    note.textContent = "This page was made without pictures.";
    return;
  }
  const original = "original";
  const zooms = [1, 2, 4];
  const reach = 24; /* pixels from the divider within which a drag moves it */
  const stage = find("stage");
  const sides = ["left", "right"].map((side) => ({
    side,
    select: find(side),
    image: find(`${side}-image`),
    tag: find(`${side}-tag`),
    facts: find(`${side}-facts`),
  }));
  const view = { zoom: 1, x: 0, y: 0, width: 1, height: 1 };
  const picture = () => shown[Number(find("picture").value)];
  const checked = (id) => Number(document.querySelector(`#${id} input:checked`).value);
  const label = (name) => (name === original ? "Original" : data.labels[name]);

  function coded(name) {
    return name === original ? null : picture().codecs[name]?.[checked("rate")];
  }

  function choices(id, values, text, chosen) {
    values.forEach((value) => {
      const item = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, { type: "radio", name: id, value, checked: value === chosen });
      const span = document.createElement("span");
      span.textContent = text(value);
      item.append(input, span);
      find(id).append(item);
    });
  }

  function write(list, name, file) {
    const rows = file
      ? [
          ["setting", String(file.setting)],
          ["size", `${file.bytes.toLocaleString("en")} bytes`],
          ["rate", `${file.bpp.toFixed(3)} bpp`],
          ["PSNR", file.psnr === null ? "lossless" : `${file.psnr.toFixed(2)} dB`],
        ]
      : [["rate", "24 bpp, not compressed"]];
    const cell = (kind, text) => Object.assign(document.createElement(kind), { textContent: text });
    list.replaceChildren(...rows.flatMap(([term, value]) => [cell("dt", term), cell("dd", value)]));
    list.prepend(Object.assign(cell("dt", label(name)), { className: "name" }));
  }

  function balance() {
    const [left, right] = sides.map(({ select }) => coded(select.value));
    if (!left || !right) return "";
    const wanted = data.rates[checked("rate")];
    const far = sides.filter(({ select }) => Math.abs(coded(select.value).bpp / wanted - 1) > 0.2);
    const ratio = right.bytes / left.bytes;
    const difference = Math.round(Math.abs(ratio - 1) * 100);
    const sizes = difference
      ? `The right file is ${difference} % ${ratio > 1 ? "larger" : "smaller"} than the left one.`
      : "The two files differ in size by less than 1 %.";
    const missing = new Set(far.map(({ select }) => label(select.value)));
    const misses = [...missing].map((name) => `${name} has no measured setting within 20 % of ${wanted} bpp here.`);
    return [sizes, ...misses].join(" ");
  }

  function show() {
    const image = picture();
    for (const { select, image: element, tag, facts } of sides) {
      const file = coded(select.value);
      element.src = data.uris[file ? file.place : image.original];
      element.alt = file
        ? `${image.name} by ${label(select.value)} at ${file.bpp.toFixed(3)} bits per pixel`
        : `${image.name}, the original`;
      tag.textContent = label(select.value);
      write(facts, select.value, file);
    }
    find("balance").textContent = balance();
  }

  /* The frame has the size of the crop, which follows from the greatest side of all crops. */
  function frame() {
    const image = picture();
    [view.width, view.height] = [Math.min(image.width, data.side), Math.min(image.height, data.side)];
    stage.parentElement.style.setProperty("--crop", `${view.width}px`);
    stage.style.aspectRatio = `${view.width} / ${view.height}`;
    const part =
      view.width < image.width || view.height < image.height
        ? `the central ${view.width} × ${view.height} of its ${image.width} × ${image.height} pixels are shown`
        : "all of it is shown";
    note.textContent =
      "Two codecs at rates as equal as their measured settings allow, each picture encoded and decoded for this page and " +
      `kept without loss. Of ${image.name}, ${part}; sizes, rates and PSNR (of RGB) are those of the whole picture. ` +
      "At 1×, one pixel of the picture is one pixel of the page.";
  }

  function place() {
    const scale = view.zoom;
    const limit = (value, size, room) => Math.min(0, Math.max(room - size * scale, value));
    view.x = limit(view.x, view.width, stage.clientWidth);
    view.y = limit(view.y, view.height, stage.clientHeight);
    for (const { image } of sides) image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`;
  }

  function zoom(next) {
    const [x, y] = [stage.clientWidth / 2, stage.clientHeight / 2];
    view.x = x - ((x - view.x) * next) / view.zoom;
    view.y = y - ((y - view.y) * next) / view.zoom;
    view.zoom = next;
    place();
  }

  function divide() {
    const position = Number(find("position").value);
    find("left-layer").style.clipPath = `inset(0 ${100 - position}% 0 0)`;
    find("divider").style.left = `${position}%`;
  }

  function centre() {
    frame();
    view.x = (stage.clientWidth - view.width * view.zoom) / 2;
    view.y = (stage.clientHeight - view.height * view.zoom) / 2;
    place();
    show();
  }

  const overflows = () => view.width * view.zoom > stage.clientWidth + 1 || view.height * view.zoom > stage.clientHeight + 1;
  let drag = null;
  function follow(event) {
    if (drag === "divider") {
      const box = stage.getBoundingClientRect();
      find("position").value = ((event.clientX - box.left) / box.width) * 100;
      divide();
    } else if (drag) {
      view.x += event.clientX - drag.x;
      view.y += event.clientY - drag.y;
      drag = { x: event.clientX, y: event.clientY };
      place();
    }
  }
  stage.addEventListener("pointerdown", (event) => {
    const box = find("divider").getBoundingClientRect();
    const near = Math.abs(event.clientX - box.left) < reach;
    drag = near || !overflows() ? "divider" : { x: event.clientX, y: event.clientY };
    stage.setPointerCapture(event.pointerId);
    follow(event);
  });
  stage.addEventListener("pointermove", follow);
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, () => {
      drag = null;
    });
  }
  stage.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!move || !overflows()) return;
    event.preventDefault();
    view.x += move[0] * 32;
    view.y += move[1] * 32;
    place();
  });

  for (const { select } of sides) {
    names.forEach((name) => select.add(new Option(label(name), name)));
    select.add(new Option("Original", original));
    select.addEventListener("change", show);
  }
  sides[0].select.value = names.includes(data.anchor) ? data.anchor : names[0];
  sides[1].select.value = names.find((name) => name !== sides[0].select.value) ?? original;
  shown.forEach((image, index) => find("picture").add(new Option(image.name, index)));
  choices("rate", data.rates.map((_, index) => index), (index) => String(data.rates[index]), data.rates.length >> 1);
  choices("zoom", zooms, (value) => `${value}×`, 1);
  find("picture").addEventListener("change", centre);
  find("rate").addEventListener("change", show);
  find("zoom").addEventListener("change", () => zoom(checked("zoom")));
  find("position").addEventListener("input", divide);
  find("swap").addEventListener("click", () => {
    const [left, right] = sides.map(({ select }) => select);
    [left.value, right.value] = [right.value, left.value];
    show();
  });
  new ResizeObserver(place).observe(stage);
  centre();
  divide();
})();
