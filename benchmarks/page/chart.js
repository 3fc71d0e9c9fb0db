/* Rate-distortion curves: quality over rate for a chosen metric, of the mean or of one picture. */
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("curves-data").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  const chart = document.getElementById("chart");
  const legend = document.getElementById("legend");
  const metric = document.getElementById("metric");
  const picture = document.getElementById("picture-of-curve");
  const dashes = ["solid", "dash", "dashdot", "longdashdot"];
  /* markers by Plotly's names, drawn the same in the legend, from -4 to 4 */
  const markers = {
    circle: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    square: "M-3.5-3.5h7v7h-7z",
    diamond: "M0-5 5 0 0 5-5 0z",
    "triangle-up": "M0-4 4.5 4h-9z",
    "triangle-down": "M0 4-4.5-4h9z",
    cross: "M-1.5-4h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z",
    x: "M-4-2-2-4 0-2 2-4 4-2 2 0 4 2 2 4 0 2-2 4-4 2-2 0z",
  };
  const symbols = Object.keys(markers);
  const rates = [-2, -1, 0, 1].flatMap((power) => [1, 2, 5].map((step) => Number(`${step}e${power}`)));
  const rateMax = 4;
  const hidden = new Set();

  /* Codecs of one family share a colour and differ in dash and marker. */
  const families = [];
  const members = new Map();
  const looks = data.series.map((curve) => {
    const family = curve.published ? "published" : curve.name.split("-")[0];
    const place = members.get(family) ?? 0;
    members.set(family, place + 1);
    const own = { symbol: symbols[place % symbols.length], dash: dashes[place % dashes.length], width: 1.8, size: 6 };
    if (family === "published") return { ...own, colour: "--published", open: "-open", dash: "dot", width: 1.5 };
    if (family === "cae") return { ...own, colour: "--ours", width: 3, size: 8 };
    if (!families.includes(family)) families.push(family);
    return { ...own, colour: `--c${families.indexOf(family) % 6}` };
  });
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const title = (curve) => (curve.published ? `${curve.label} (published)` : curve.label);

  function traces() {
    return data.series.map((curve, index) => {
      const line = curve.lines[Number(picture.value)] ?? { bpp: [], settings: [], values: {} };
      const values = line.values[metric.value] ?? [];
      const kept = line.bpp.map((_, place) => place).filter((place) => (values[place] ?? null) !== null);
      const look = looks[index];
      return {
        type: "scatter",
        mode: "lines+markers",
        name: title(curve),
        visible: !hidden.has(index),
        x: kept.map((place) => line.bpp[place]),
        y: kept.map((place) => values[place]),
        text: kept.map((place) => (line.settings.length ? `setting ${line.settings[place]}` : "published figure")),
        hovertemplate: "<b>%{fullData.name}</b><br>%{x:.3f} bpp, %{y:.2f}<br>%{text}<extra></extra>",
        line: { color: colour(look.colour), width: look.width, dash: look.dash },
        marker: { color: colour(look.colour), size: look.size, symbol: look.symbol + (look.open ?? "") },
      };
    });
  }

  function layout(drawn) {
    const points = drawn.flatMap((trace) => trace.x.map((rate, place) => [rate, trace.y[place]]));
    const low = Math.min(...points.map((point) => point[0])) * 0.9;
    const high = Math.min(Math.max(...points.map((point) => point[0])) * 1.1, rateMax);
    const heights = points.filter((point) => point[0] <= high).map((point) => point[1]);
    const margin = 0.04 * (Math.max(...heights) - Math.min(...heights)) || 1;
    const ink = colour("--ink");
    const axis = { gridcolor: colour("--line"), zeroline: false, linecolor: colour("--soft"), automargin: true };
    return {
      autosize: true,
      margin: { l: 40, r: 8, t: 34, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: ink },
      showlegend: false,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: ink },
      hovermode: "closest",
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--line"), font: { color: ink }, align: "left" },
      dragmode: touch ? false : "zoom",
      xaxis: {
        ...axis,
        type: "log",
        title: { text: "bits per pixel, from file sizes (log scale)", standoff: 8, font: { size: 13 } },
        tickvals: rates,
        ticktext: rates.map(String),
        range: points.length ? [Math.log10(low), Math.log10(high)] : [-1, 0.5],
      },
      yaxis: { ...axis, range: points.length ? [Math.min(...heights) - margin, Math.max(...heights) + margin] : [0, 1] },
    };
  }

  function draw() {
    const drawn = traces();
    const chosen = data.metrics.find((item) => item.name === metric.value);
    document.getElementById("axis").textContent = `↑ ${chosen.axis}`;
    chart.setAttribute(
      "aria-label",
      `${chosen.label} over bits per pixel, ${picture.selectedOptions[0].text}: ` +
        `${drawn.filter((trace) => trace.x.length).length} curves. The table of BD-rates sums them up.`,
    );
    [...legend.children].forEach((button, index) => {
      button.hidden = !drawn[index].x.length;
    });
    return Plotly.react(chart, drawn, layout(drawn), {
      responsive: true,
      displaylogo: false,
      displayModeBar: !touch,
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] /* named, so that none of them needs a network */,
    });
  }

  function sample(look) {
    const dash = { solid: "", dash: "6 3", dashdot: "6 3 1 3", longdashdot: "9 3 1 3", dot: "2 3" }[look.dash];
    const stroke = `stroke="var(${look.colour})" stroke-width="${look.width + 0.4}"`;
    const fill = look.open ? "--panel" : look.colour;
    return (
      '<svg width="30" height="12" viewBox="-15 -6 30 12" aria-hidden="true">' +
      `<path d="M-15 0h30" ${stroke} stroke-dasharray="${dash}"/>` +
      `<path d="${markers[look.symbol]}" fill="var(${fill})" stroke="var(${look.colour})"/></svg>`
    );
  }

  data.series.forEach((curve, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = sample(looks[index]);
    button.append(title(curve));
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      const show = hidden.delete(index);
      if (!show) hidden.add(index);
      button.setAttribute("aria-pressed", String(show));
      Plotly.restyle(chart, { visible: show }, [index]);
    });
    legend.append(button);
  });
  data.metrics.forEach((item) => metric.add(new Option(item.label, item.name)));
  picture.add(new Option(data.images.length > 1 ? `Mean of ${data.images.length} images` : "Mean", 0));
  data.images.forEach((name, index) => picture.add(new Option(name, index + 1)));
  metric.addEventListener("change", draw);
  picture.addEventListener("change", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
