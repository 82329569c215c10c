// @ts-check
// What a person types or pastes as a list, as the API takes it.
import { readList } from "./api.js";
import { count } from "./format.js";
import { Field, sentence } from "./parts.js";
import { caller, useCell } from "./store.js";
import { html, useState } from "./ui.js";

/**
 * Lines with `@name` refer to named lists; all else goes to the agent as a list file, which it
 * reads with comments and names each bad line of.
 * @param {string} text @param {string} name @param {{expires?: string, comment?: string}} [how] when the rules end, and a comment for each
 */
export function listInput(text, name, how = {}) {
  const references = [];
  const lines = text.split(/\r?\n/).map((line) => {
    // What follows the first # or ; is a comment, with what may stand in it.
    const end = line.search(/[#;]/);
    const [entries, comment] = end < 0 ? [line, ""] : [line.slice(0, end), line.slice(end)];
    const isReference = (part) => /^\s*@/.test(part);
    const parts = entries.split(",");
    const found = parts.filter(isReference);
    if (!found.length) return line;
    references.push(...found.map((part) => part.trim()));
    return [parts.filter((part) => !isReference(part)).join(","), comment].filter(Boolean).join(" ");
  });
  const file = lines.join("\n");
  return {
    items: references,
    files: /\S/.test(file) ? [{ name, text: file.endsWith("\n") ? file : file + "\n" }] : [],
    ...(how.expires ? { expires: how.expires } : {}), ...(how.comment ? { comment: how.comment } : {}),
  };
}

const ENDS = [["", "no end"], ["3600", "in an hour"], ["14400", "in 4 hours"], ["86400", "in a day"], ["604800", "in a week"], ["2592000", "in 30 days"], ["at", "at a time…"]];

/** When something ends: a choice of spans, or a time. `none` says what no end is called. */
export function Ending({ label, value, set, none = "no end", hint }) {
  const isTime = value.startsWith("at");
  const choose = (chosen) => set(chosen === "at" ? `at${localTime(Date.now() + 86400000)}` : chosen);
  return html`<${Field} label=${label} hint=${hint}>${(id, describedby) => html`<select id=${id} aria-describedby=${describedby} value=${isTime ? "at" : value} onChange=${(event) => choose(event.currentTarget.value)}>${ENDS.map(([seconds, words]) => html`<option value=${seconds}>${seconds ? words : none}</option>`)}</select>
    ${isTime && html`<input type="datetime-local" aria-label=${`${label}: time`} required value=${value.slice(2)} onInput=${(event) => set(`at${event.currentTarget.value}`)} />`}`}<//>`;
}

/** As a field for a time has it. @param {number} time */
const localTime = (time) => new Date(time - new Date(time).getTimezoneOffset() * 60000).toISOString().slice(0, 16);

/** The time that `Ending` chose; none: no end. @param {string} value @returns {string|undefined} */
export function endOf(value) {
  if (value.startsWith("at")) return new Date(value.slice(2)).toISOString();
  return value ? new Date(Date.now() + Number(value) * 1000).toISOString() : undefined;
}

/** Lines that are no comment. @param {string} text */
export const lineCount = (text) => text.split(/[\n,]/).filter((line) => /^\s*[^\s#;]/.test(line)).length;

/** A field for a list of addresses; with the person's own address at hand. */
export function Addresses({ label, value, onInput, hint, offerOwn = false, plain = false, rows = 6 }) {
  const known = useCell(caller);
  const [dropped, setDropped] = useState(false);
  const mine = offerOwn && known?.operator?.address;
  const has = mine && value.split(/[\s,]+/).includes(mine);
  const [read, setRead] = useState(/** @type {{bad?: boolean, lines: string[]}|null} */ (null));
  const convert = async (text, before) => {
    try {
      const reading = await readList(text);
      onInput([before.trimEnd(), reading.list].filter(Boolean).join("\n"));
      setRead({ lines: [`Read as ${reading.format}: ${count(reading.entries, "entry", "entries")}.`, ...reading.notes, ...reading.left_out].map(sentence) });
    } catch (error) {
      setRead({ bad: true, lines: [sentence(error.message)] });
    }
  };
  const take = async (files) => {
    setDropped(false);
    const texts = await Promise.all([...files].map((file) => file.text()));
    await convert(texts.join("\n"), value);
  };
  return html`<${Field} label=${label} hint=${hint}>${(id, describedby) => html`
    <textarea id=${id} rows=${rows} class=${`addresses ${dropped ? "drop" : ""}`} aria-describedby=${describedby} value=${value} spellcheck="false" autocomplete="off" autocapitalize="off"
      placeholder=${`203.0.113.0/24  # head office\n2001:db8:a::/64${plain ? "" : "\n@our-own"}`}
      onInput=${(event) => onInput(event.currentTarget.value)}
      onDragOver=${(event) => { event.preventDefault(); setDropped(true); }} onDragLeave=${() => setDropped(false)}
      onDrop=${(event) => { if (event.dataTransfer?.files.length) { event.preventDefault(); void take(event.dataTransfer.files); } }}></textarea>
    ${mine && html`<p class="own-address">Your own address is <code>${mine}</code>. ${has ? html`<span class="good-text">It is on the list.</span>`
      : html`<button type="button" class="link" onClick=${() => onInput(value.trim() ? `${value.trimEnd()}\n${mine}` : mine)}>Add to allowed</button>`}</p>`}
    <p class="own-address"><button type="button" class="link" disabled=${!value.trim()} onClick=${() => convert(value, "")}>Convert from another program's format</button></p>
    ${read && html`<div class=${read.bad ? "panel bad" : "panel"} role="status">${read.lines.slice(0, 8).map((line) => html`<p>${line}</p>`)}</div>`}`}<//>`;
}
