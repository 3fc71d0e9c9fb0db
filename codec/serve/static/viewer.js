"use strict";

const element = document.getElementById("picture");
const { width, height, degrees } = Object.fromEntries(
  Object.entries(element.dataset).map(([name, value]) => [name, Number(value)]),
);

const viewer = OpenSeadragon({
  element,
  // with transparent tiles, coarser ones and the overview would shine through
  tileSources: `${element.dataset.tiles}.dzi`,
  drawer: "canvas",
  // what lies between the overview and the level that is looked at would take the server's time
  immediateRender: true,
  degrees,
  flipped: element.dataset.mirrored === "true",
  showNavigationControl: false,
  showNavigator: false,
  animationTime: 0.5,
  blendTime: 0.1,
  maxZoomPixelRatio: 16,
  imageLoaderLimit: 4,
  timeout: 60000,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
});
window.viewer = viewer;

// one of the screen's pixels for each of the picture's, on any screen
const fullSize = () =>
  viewer.world.getItemAt(viewer.world.getItemCount() - 1).imageToViewportZoom(1) / (window.devicePixelRatio || 1);

const tools = {
  nearer: () => viewer.viewport.zoomBy(2),
  further: () => viewer.viewport.zoomBy(0.5),
  whole: () => viewer.viewport.goHome(),
  "full-size": () => viewer.viewport.zoomTo(fullSize()),
};
for (const [name, act] of Object.entries(tools)) {
  document.getElementById(name).addEventListener("click", () => {
    act();
    viewer.viewport.applyConstraints();
  });
}

// the place is part of the address, so that it can be kept and passed on
function goToAddress() {
  const [x, y, zoom] = location.hash.slice(1).split(",").map(Number);
  if (zoom > 0 && x >= 0 && x <= width && y >= 0 && y <= height) {
    const item = viewer.world.getItemAt(viewer.world.getItemCount() - 1);
    viewer.viewport.panTo(item.imageToViewportCoordinates(x, y), true);
    viewer.viewport.zoomTo(fullSize() * zoom, undefined, true);
  }
}

let sharp = false;
function showPlace() {
  const item = viewer.world.getItemAt(viewer.world.getItemCount() - 1);
  if (!item) return;
  const zoomedIn = viewer.viewport.getZoom(true) / fullSize() > 0.999;
  if (zoomedIn !== sharp) {
    // from full size on the pixels stay what they are
    sharp = zoomedIn;
    viewer.drawer.setImageSmoothingEnabled(!sharp);
  }
  const centre = item.viewportToImageCoordinates(viewer.viewport.getCenter(true));
  const zoom = viewer.viewport.getZoom(true) / fullSize();
  const percent = (100 * zoom).toPrecision(zoom < 0.1 ? 2 : 3);
  document.getElementById("place").textContent =
    `${Number(percent)} %, centre ${Math.round(centre.x)}, ${Math.round(centre.y)}`;
  return [Math.round(centre.x), Math.round(centre.y), Number(zoom.toPrecision(4))].join(",");
}

// full size can be reached although the whole of a small picture is shown larger
const allowFullSize = () => {
  viewer.viewport.minZoomLevel = Math.min(0.9 * viewer.viewport.getHomeZoom(), fullSize());
};
viewer.addHandler("resize", () => viewer.world.getItemCount() && allowFullSize());

viewer.addHandler("open", () => {
  allowFullSize();
  goToAddress();
  follow();
});
viewer.addHandler("animation", showPlace);
viewer.addHandler("animation-finish", () => history.replaceState(null, "", `#${showPlace()}`));
window.addEventListener("hashchange", goToAddress);

// beneath the tiles lies what there is of the overview
let beneath = null;
let seen = -1;
let waited = false;
async function follow() {
  showPlace();
  const box = document.getElementById("progress");
  let progress = { done: 0, changes: seen };
  try {
    progress = await (await fetch("progress.json")).json();
  } catch {
    // a server that was stopped may come back
  }
  box.hidden = progress.done >= 1;
  document.getElementById("done").value = progress.done;
  if (progress.changes !== seen && progress.changes > 0) {
    seen = progress.changes;
    const coveredWidth = Math.ceil(width / progress.factor) * progress.factor;
    const old = beneath;
    viewer.addSimpleImage({
      url: `overview.png?${seen}`,
      index: 0,
      width: coveredWidth / width,
      success: ({ item }) => {
        beneath = item;
        if (old) viewer.world.removeItem(old);
      },
    });
  }
  if (progress.done < 1) {
    waited = true;
    setTimeout(follow, 1000);
  } else if (waited) {
    // tiles that show much were refused as long as they would have taken much time
    viewer.world.getItemAt(viewer.world.getItemCount() - 1).reset();
  }
}
