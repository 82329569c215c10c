// @ts-check
// Parts that pages are made of.
import { about, call } from "./api.js";
import { ago, exact } from "./format.js";
import { Icon } from "./icons.js";
import { useRecovery, useSeconds } from "./store.js";
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from "./ui.js";

/** A page's head: its title, what it is for, a link to the guide, and what can be done. */
export function Head({ title, help, children, back, sub }) {
  useEffect(() => { document.title = `${title} – netpolicy on ${about?.host ?? ""}`; }, [title]);
  return html`<header class="head">
    <div class="head-title">
      ${back && html`<a class="back" href=${back.href}>${back.label}</a>`}
      <h1 tabindex="-1" id="title">${title}</h1>
      ${help && html`<a class="help" href=${`/guide/${help}`} target="_blank" rel="noopener" title="Guide to this page" aria-label=${`Guide: ${title}`}><${Icon} name="help" /></a>`}
    </div>
    ${sub && html`<p class="sub">${sub}</p>`}
    <div class="actions">${children}</div>
  </header>`;
}

/** Why something is not shown. */
export function Failure({ error, retry }) {
  if (!error) return null;
  return html`<div class="panel bad" role="alert">
    <p><strong>${sentence(error.message)}</strong></p>
    ${error.problem?.hint && html`<p>${sentence(error.problem.hint)}</p>`}
    ${retry && html`<p><button type="button" onClick=${retry}>Try again</button></p>`}
  </div>`;
}

/** While something is read for the first time. */
export function Loading({ of }) {
  return of.data || of.error ? null : html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span> Loading…</p>`;
}

/** What the API says begins in lower case. @param {string} text */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/** A word with a colour that says nothing that the word does not. */
export function Pill({ kind = "plain", children }) {
  return html`<span class=${`pill ${kind}`}>${children}</span>`;
}

/** A time: how long ago, and on hover when. */
export function Time({ at }) {
  const now = useSeconds();
  if (!at) return html`<span class="faint">–</span>`;
  return html`<time datetime=${at} title=${exact(at)}>${ago(at, now)}</time>`;
}

/** When a rule ends, if it has an end. */
export function Ends({ rule }) {
  return rule.expires ? html`<span class="ends">ends <${Time} at=${rule.expires} /></span>` : null;
}

/** A labelled field. */
export function Field({ label, hint, children, error }) {
  const id = useId();
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children(id, hint || error ? `${id}-hint` : undefined)}
    ${(error || hint) && html`<p class=${error ? "hint bad-text" : "hint"} id=${`${id}-hint`}>${error || hint}</p>`}
  </div>`;
}

/** One of several, side by side. */
export function Segments({ label, options, value, onChange }) {
  const name = useId();
  return html`<fieldset class="segments"><legend class="hidden">${label}</legend>
    ${options.map((option) => html`<label key=${option.value} class=${option.value === value ? "on" : ""}>
      <input type="radio" name=${name} checked=${option.value === value} onChange=${() => onChange(option.value)} />
      <span>${option.label}</span>${option.count !== undefined && html`<span class="segment-count">${option.count}</span>`}
    </label>`)}
  </fieldset>`;
}

/** A dialog of the browser's own: it keeps the keyboard inside, and Escape closes it. */
export function Dialog({ title, onClose, children, foot, wide, busy }) {
  const ref = useRef(/** @type {HTMLDialogElement|null} */ (null));
  const id = useId();
  useLayoutEffect(() => {
    const before = document.activeElement;
    ref.current?.showModal();
    if (!ref.current?.querySelector("[autofocus]")) ref.current?.querySelector("h2")?.focus();
    return () => { if (before instanceof HTMLElement && before.isConnected) before.focus(); };
  }, []);
  return html`<dialog ref=${ref} class=${wide ? "wide" : ""} aria-labelledby=${id}
      onCancel=${(event) => { if (event.target !== event.currentTarget) return; event.preventDefault(); if (!busy) onClose(); }}
      onClose=${(event) => { if (event.target === event.currentTarget) onClose(); }}>
    <div class="dialog-head"><h2 id=${id} tabindex="-1">${title}</h2>
      <button type="button" class="plain" aria-label="Close" disabled=${busy} onClick=${onClose}><${Icon} name="close" /></button></div>
    <div class="dialog-body">${children}</div>
    ${foot && html`<div class="dialog-foot">${foot}</div>`}
  </dialog>`;
}

/** A table; the columns have a name, and may be numbers. */
export function Table({ label, columns, rows, empty, tight }) {
  if (!rows.length) return empty ?? null;
  return html`<div class=${tight ? "table tight" : "table"} role="group" aria-label=${label} tabindex="0"><table>
    <thead><tr>${columns.map((column) => html`<th scope="col" class=${column.number ? "num" : ""}>${column.name || html`<span class="hidden">${column.hidden ?? "Actions"}</span>`}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.key} class=${row.kind ?? ""}>${row.cells.map((cell, at) => html`<td class=${columns[at].number ? "num" : columns[at].class ?? ""} data-label=${columns[at].name}>${cell}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** Text that is typed, known a moment after the last key. */
export function useTyped(initial = "", wait = 200) {
  const [text, set] = useState(initial);
  const [settled, settle] = useState(initial);
  useEffect(() => {
    const timer = setTimeout(() => settle(text), wait);
    return () => clearTimeout(timer);
  }, [text]);
  return { text, set, settled };
}

export function Search({ label, value, onInput, placeholder }) {
  return html`<input class="search" type="search" aria-label=${label} placeholder=${placeholder ?? label} value=${value}
    spellcheck="false" autocomplete="off" onInput=${(event) => onInput(event.currentTarget.value)} />`;
}

/** A list in parts, of which more is read on request. */
export function useParts(path, query, deps) {
  const [state, set] = useState({ items: /** @type {any[]|null} */ (null), next: null, total: 0, page: /** @type {any} */ (null), error: null, busy: false });
  const round = useRef(0);
  const read = async (after, before, unasked) => {
    const mine = ++round.current;
    set((state) => ({ ...state, busy: true }));
    try {
      const { data } = await call("GET", path, { query: { ...query, after }, unasked });
      if (mine !== round.current) return;
      set({ items: [...before, ...(data.items ?? data.sources ?? [])], next: data.next ?? null, total: data.total ?? data.count, page: data, error: null, busy: false });
    } catch (error) {
      if (mine === round.current) set((state) => ({ ...state, error, busy: false }));
    }
  };
  useEffect(() => { void read(undefined, [], false); }, deps);
  useRecovery(state.error, () => void read(undefined, [], true));
  return { ...state, more: () => read(state.next, state.items ?? [], false), reload: () => read(undefined, [], false) };
}

export function More({ parts }) {
  if (!parts.next) return null;
  return html`<p class="more"><button type="button" disabled=${parts.busy} onClick=${parts.more}>Show more</button>
    <span class="faint">${parts.items.length} of ${parts.total}</span></p>`;
}
