// @ts-check
// A chart of attempts allowed and denied, drawn by uPlot, which is loaded when it is needed.
import { number } from "./format.js";
import { html, useEffect, useRef, useState } from "./ui.js";

/** @type {Promise<any>|null} */
let loading = null;

function load() {
  loading ??= new Promise((resolve, reject) => {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = "/vendor/uplot.css";
    const script = document.createElement("script");
    script.src = "/vendor/uplot.js";
    script.onload = () => resolve(/** @type {any} */ (window).uPlot);
    script.onerror = () => reject(new Error("the chart could not be loaded"));
    document.head.append(style, script);
  });
  return loading;
}

const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const second = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** A time on the axis, as exact as its step. @param {number} time @param {number} step */
function label(time, step) {
  const format = step >= 86400 ? day : step >= 60 ? minute : second;
  return format.format(new Date(time * 1000));
}

/** `series`: times in seconds, allowed, denied; `unit` says what the last are of. */
export function Chart({ series, unit }) {
  const place = useRef(/** @type {HTMLElement|null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const again = () => setTheme((n) => n + 1);
    const watcher = new MutationObserver(again);
    watcher.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", again);
    return () => { watcher.disconnect(); system.removeEventListener("change", again); };
  }, []);
  useEffect(() => {
    let gone = false;
    /** @type {ResizeObserver|null} */
    let size = null;
    void load().then((UPlot) => {
      const element = place.current;
      if (gone || !element) return;
      element.replaceChildren();
      const probe = document.createElement("span");
      probe.className = "probe";
      element.append(probe);
      const of = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
      const [text, line, good, bad] = ["--faint", "--line", "--chart-good", "--chart-bad"].map(of);
      probe.remove();
      const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
      const straight = UPlot.paths.linear();
      plot.current = new UPlot({
        width: element.clientWidth, height: 220, padding: [8, 32, 0, 0], cursor: { y: false, points: { size: 6 } }, legend: { show: false },
        scales: { x: { range: (_, low, high) => (high - low < 120 ? [high - 120, high] : [low, high]) }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [{ ...axis, space: 90, size: 30, values: (_, times, __, ___, step) => times.map((time) => label(time, step)) }, { ...axis, size: 56, values: (_, values) => values.map((value) => number(value)) }],
        series: [{}, { label: "allowed", stroke: good, width: 2, fill: `${good.replace("rgb(", "rgba(").replace(")", ", .12)")}`, paths: straight, points: { show: false } },
          { label: "denied", stroke: bad, width: 2, fill: `${bad.replace("rgb(", "rgba(").replace(")", ", .12)")}`, paths: straight, points: { show: false } }],
      }, series, element);
      size = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: 220 }));
      size.observe(element);
    }, () => {});
    return () => { gone = true; size?.disconnect(); plot.current?.destroy(); plot.current = null; };
  }, [theme]);
  useEffect(() => { plot.current?.setData(series); }, [series]);
  const [, allowed, denied] = series;
  const last = (values) => number(Math.round((values.at(-1) ?? 0) * 10) / 10);
  return html`<figure class="chart">
    <div ref=${place} class="plot" role="img" aria-label=${`Attempts over time; last: ${last(allowed)} allowed, ${last(denied)} denied`}></div>
    <figcaption><span class="key good">allowed <strong>${last(allowed)}</strong></span> <span class="key bad">denied <strong>${last(denied)}</strong></span> <span class="spring"></span><span>${unit}</span></figcaption>
  </figure>`;
}
