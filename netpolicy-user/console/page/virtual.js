// @ts-check
// A list of any length, of which only the rows that are seen are read and drawn.
import { call } from "./api.js";
import { number } from "./format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";

const ROW = 40;
const PART = 200;
// The tallest element that browsers lay out exactly; longer lists are scaled.
const TALLEST = 8_000_000;

/**
 * Rows of a paged resource whose entries have consecutive numbers: `base` is the number before the
 * first. With a filter the parts follow one another, and are read in order.
 */
export function Virtual({ path, query, total, base, filtered, revision, row, head, label, empty }) {
  const place = useRef(/** @type {HTMLElement|null} */ (null));
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const parts = useRef(new Map());
  const chain = useRef(/** @type {{after: number|undefined, total: number|null}[]} */ ([{ after: undefined, total: null }]));
  const [, draw] = useState(0);
  const [error, setError] = useState(/** @type {Error|null} */ (null));
  const key = JSON.stringify([path, query, revision, base]);
  const epoch = useRef(key);
  if (epoch.current !== key) {
    epoch.current = key;
    parts.current = new Map();
    chain.current = [{ after: undefined, total: null }];
  }
  const rows = filtered ? chain.current[0].total ?? 0 : total;
  const scale = Math.max(1, (rows * ROW) / TALLEST);
  const first = Math.max(0, Math.floor((top * scale) / ROW) - 6);
  const last = Math.min(rows, first + Math.ceil(height / ROW) + 14);

  const readPart = async (index) => {
    const mine = epoch.current;
    if (parts.current.has(index)) return;
    const link = filtered ? chain.current[index] : { after: base + index * PART };
    if (!link) return;
    parts.current.set(index, null);
    try {
      const { data } = await call("GET", path, { query: { ...query, limit: PART, after: link.after || undefined }, unasked: true });
      if (mine !== epoch.current) return;
      parts.current.set(index, data.items);
      if (filtered) {
        chain.current[index] = { ...chain.current[index], total: data.total };
        if (data.next) chain.current[index + 1] = { after: data.next, total: data.total };
      }
      setError(null);
    } catch (failure) {
      if (mine !== epoch.current) return;
      parts.current.delete(index);
      setError(failure);
    }
    draw((n) => n + 1);
  };

  useEffect(() => {
    if (filtered && chain.current[0].total === null) void readPart(0);
    for (let index = Math.floor(first / PART); index * PART < last; index++) {
      if (filtered && !chain.current[index]) {
        // The parts before it are read first; each leads to the next.
        void readPart(chain.current.length - 1);
        break;
      }
      void readPart(index);
    }
  });
  useLayoutEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const size = new ResizeObserver(() => setHeight(element.clientHeight));
    size.observe(element);
    return () => size.disconnect();
  }, []);
  useEffect(() => { if (place.current) place.current.scrollTop = 0; setTop(0); }, [JSON.stringify([path, query])]);

  const shown = [];
  for (let at = first; at < last; at++) {
    const part = parts.current.get(Math.floor(at / PART));
    shown.push(html`<div key=${at} class="virtual-row" role="row" aria-rowindex=${at + 1}>${part ? (part[at % PART] ? row(part[at % PART], at) : null) : html`<span class="faint" role="cell">…</span>`}</div>`);
  }
  const isEmpty = rows === 0 && (!filtered || chain.current[0].total !== null);
  return html`
    ${error && html`<p class="panel bad" role="alert">${error.message}</p>`}
    <p class="hidden" role="status">${filtered && chain.current[0].total !== null ? `${number(rows)} match` : ""}</p>
    ${isEmpty ? empty : html`<div ref=${place} class="virtual" role="table" tabindex="0" aria-label=${label} aria-rowcount=${rows} style=${{ "--rows": `${Math.min(rows * ROW, TALLEST) + 36}px` }}
        onScroll=${(event) => setTop(event.currentTarget.scrollTop)}>
      <div class="virtual-head" role="row">${head}</div>
      <div class="virtual-space" role="rowgroup" style=${{ height: `${Math.min(rows * ROW, TALLEST)}px` }}>
        <div class="virtual-rows" role="presentation" style=${{ transform: `translateY(${scale > 1 ? Math.max(0, top - 6 * ROW) : first * ROW}px)` }}>${shown}</div></div></div>`}`;
}
