"use strict";

const PRINTED_WIDTH = 960; // CSS pixels: between the margins of a sheet of A4 or letter, landscape

const plots = [...document.querySelectorAll("[data-figure]")];
const read = (id) => JSON.parse(document.getElementById(id).textContent);

async function unpackPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (char) => char.charCodeAt(0));
  const script = document.createElement("script");
  script.textContent = await new Response(
    new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")),
  ).text();
  document.head.append(script);
}

function draw() {
  for (const plot of plots) {
    const { data, layout } = read(plot.dataset.figure);
    plot.replaceChildren(); // what stands there without a script
    Plotly.newPlot(plot, data, layout, { displayModeBar: false, responsive: true });
  }
  addEventListener("beforeprint", () => {
    for (const plot of plots) Plotly.relayout(plot, { width: PRINTED_WIDTH });
  });
  addEventListener("afterprint", () => {
    for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
  });
}

function replay() {
  const grid = read("grid");
  const at = (id) => document.getElementById(`replay-${id}`);
  const controls = grid.axes.map((axis) => at(axis.name));
  grid.axes.forEach((axis, i) => {
    if (controls[i].options) axis.stops.forEach((stop, n) => controls[i].add(new Option(stop, n)));
    else controls[i].max = axis.stops.length - 1;
    controls[i].disabled = axis.stops.length === 1;
    controls[i].value = grid.start[i];
    controls[i].addEventListener("input", show);
  });

  function show() {
    grid.axes.forEach((axis, i) => {
      const stop = axis.stops[controls[i].value];
      if (controls[i].options) return;
      at(`${axis.name}-shown`).textContent = stop;
      controls[i].setAttribute("aria-valuetext", stop);
    });
    const point = grid.points[controls.map((control) => control.value).join(" ")];
    grid.figures.forEach((name, i) => {
      const [value, under] = point ? point[i] : [grid.missing, ""];
      at(name).textContent = value;
      at(`${name}-under`).textContent = under;
    });
  }
  show();
  document.getElementById("replay").hidden = false;
}

if (document.getElementById("replay")) replay();
if (plots.length) unpackPlotly().then(draw);
