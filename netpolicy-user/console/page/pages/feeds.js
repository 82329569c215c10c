// @ts-check
// Feeds: lists whose content comes from a URL or a file.
import { about, call, changing } from "../api.js";
import { propose } from "../change.js";
import { bytes, number, span } from "../format.js";
import { Dialog, Field, Pill, Table, Time } from "../parts.js";
import { html, useState } from "../ui.js";
import { run } from "./bans.js";

const link = (name) => `#/lists/${encodeURIComponent(name)}`;

export async function refreshFeed(feed) {
  await run(() => call("POST", ["feeds", feed.name, "refresh"]), `A refresh of ${feed.name} is requested.`);
}

export function Feeds({ feeds, reload }) {
  return html`<section class="card" aria-labelledby="feeds"><div class="card-head"><h2 id="feeds">Feeds</h2><a href="/guide/feeds" target="_blank" rel="noopener">Guide: feeds</a></div>
    <${Table} label="Feeds" columns=${[{ name: "Name" }, { name: "State" }, { name: "Entries", number: true }, { name: "Fetched" }, { name: "Next" }, { name: "Source" }, { name: "" }]}
      empty=${html`<p class="faint">There is no feed. A feed is a list that is refreshed from a URL or a file.</p>`}
      rows=${feeds.map((feed) => ({ key: feed.name, cells: [html`<a class="strong" href=${link(feed.name)}>@${feed.name}</a>`, html`<${FeedState} feed=${feed} />`, number(feed.entries), html`<${Time} at=${feed.fetched} />`, html`<${Time} at=${feed.next} />`,
        html`<span class="break">${feed.settings.source}</span><span class="under">every ${span(feed.settings.interval)}</span>`, html`<button type="button" class="small" disabled=${about?.read_only} aria-label=${`Refresh ${feed.name}`} onClick=${async () => { await refreshFeed(feed); reload(); }}>Refresh</button>`] }))} /></section>`;
}

export function FeedState({ feed }) {
  if (feed.error) return html`<${Pill} kind="bad">failed</><span class="under">${feed.error}</span>`;
  if (feed.stale) return html`<${Pill} kind="warn">stale</>`;
  return feed.fetched ? html`<${Pill} kind="good">current</>` : html`<${Pill}>not fetched</>`;
}

/** Where a feed comes from, and what is refused of it. */
export function FeedFacts({ feed }) {
  const { settings } = feed;
  const special = { refuse: "refused", skip: "left out", allow: "taken" }[settings.special_ranges];
  return html`<section class="card" aria-label="The feed"><dl class="facts">
    <div><dt>Source</dt><dd class="break">${settings.source}</dd></div><div><dt>Format</dt><dd>${feed.format ?? settings.format ?? "told from the content"}</dd></div>
    <div><dt>Refreshed</dt><dd>every ${span(settings.interval)}; next <${Time} at=${feed.next} /></dd></div><div><dt>Fetched</dt><dd><${Time} at=${feed.fetched} /></dd></div>
    <div><dt>Left out</dt><dd>${number(feed.skipped)}</dd></div><div><dt>At least</dt><dd>${number(settings.min_entries)}</dd></div><div><dt>Shrinks by at most</dt><dd>${settings.max_shrink} %</dd></div>
    <div><dt>Special ranges</dt><dd>${special}</dd></div><div><dt>Stale after</dt><dd>${span(settings.stale_after)}</dd></div><div><dt>Reads at most</dt><dd>${bytes(settings.max_bytes)}</dd></div></dl></section>`;
}

const INTERVALS = [[300, "5 minutes"], [3600, "hour"], [21600, "6 hours"], [43200, "12 hours"], [86400, "day"], [604800, "week"]];
const SPECIAL = [["refuse", "refuse the content"], ["skip", "leave them out"], ["allow", "take them"]];
const FILTERS = [["service", "Only services of a cloud provider", "S3"], ["region", "Only regions", "eu-central-1"], ["country", "Only countries", "DE, FR"], ["asn", "Only autonomous systems", "64500"], ["set", "Only sets", ""]];
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

/**
 * Creates a feed, or alters its settings.
 * @param {{feed?: any, list?: any, revision?: number|null, close: () => void}} props
 */
export function EditFeed({ feed = null, list = null, revision, close }) {
  const was = feed?.settings;
  const [name, setName] = useState(feed?.name ?? "");
  const [comment, setComment] = useState(list?.comment ?? "");
  const [source, setSource] = useState(was?.source ?? "");
  const [interval, setInterval] = useState(was?.interval ?? 3600);
  const [least, setLeast] = useState(String(was?.min_entries ?? 1));
  const [shrink, setShrink] = useState(String(was?.max_shrink ?? 30));
  const [special, setSpecial] = useState(was?.special_ranges ?? "refuse");
  const [format, setFormat] = useState(was?.format ?? "");
  const [http, setHttp] = useState(Boolean(was?.allow_http));
  const [filter, setFilter] = useState(/** @type {Record<string, string>} */ (Object.fromEntries(FILTERS.map(([key]) => [key, (was?.filter?.[key] ?? []).join(", ")]))));
  const submit = (event) => {
    event.preventDefault();
    const wanted = Object.fromEntries(FILTERS.map(([key]) => [key, key === "asn" ? words(filter[key]).map((text) => Number(text.replace(/^as/i, ""))) : words(filter[key])]));
    const settings = { source: source.trim(), interval, min_entries: Number(least), max_shrink: Number(shrink), special_ranges: special, format: format.trim(), allow_http: http, filter: wanted };
    const change = { change: feed ? "alter-feed" : "create-feed", name: name.trim(), settings, comment: comment.trim() || (feed ? "" : null) };
    propose({ title: feed ? `Change feed ${feed.name}` : `Create feed ${change.name}`, ...changing(change), revision, done: () => { close(); location.hash = link(change.name); } });
  };
  const intervals = INTERVALS.some(([seconds]) => seconds === interval) ? INTERVALS : [[interval, span(interval)], ...INTERVALS];
  return html`<${Dialog} title=${feed ? `Settings of feed ${feed.name}` : "Create feed"} onClose=${close} wide><form class="form" onSubmit=${submit}>
    <div class="grid even"><${Field} label="Name">${(id) => html`<input id=${id} required autofocus=${!feed} disabled=${Boolean(feed)} value=${name} spellcheck="false" autocomplete="off" onInput=${(event) => setName(event.currentTarget.value)} />`}<//>
    <${Field} label="Comment">${(id) => html`<input id=${id} value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />`}<//></div>
    <${Field} label="Source" hint="An https:// URL, or the absolute path of a file that the user netpolicy-feed can read">${(id, hint) => html`<input id=${id} aria-describedby=${hint} required value=${source} placeholder="https://www.spamhaus.org/drop/drop_v4.json" spellcheck="false" autocomplete="off" onInput=${(event) => setSource(event.currentTarget.value)} />`}<//>
    <div class="grid even"><${Field} label="Refreshed every">${(id) => html`<select id=${id} value=${interval} onChange=${(event) => setInterval(Number(event.currentTarget.value))}>${intervals.map(([seconds, text]) => html`<option value=${seconds}>${text}</option>`)}</select>`}<//>
    <${Field} label="Private and other special ranges">${(id) => html`<select id=${id} value=${special} onChange=${(event) => setSpecial(event.currentTarget.value)}>${SPECIAL.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select>`}<//></div>
    <div class="grid even"><${Field} label="Refuse content with fewer entries than">${(id) => html`<input id=${id} type="number" min="0" required value=${least} onInput=${(event) => setLeast(event.currentTarget.value)} />`}<//>
    <${Field} label="Refuse content that shrinks by more than, %">${(id) => html`<input id=${id} type="number" min="0" max="100" required value=${shrink} onInput=${(event) => setShrink(event.currentTarget.value)} />`}<//></div>
    <details><summary>Format, and which entries are taken</summary><div class="form sub">
      <${Field} label="Format" hint="By the name that netpolicy import --format has for it; empty: told from the content">${(id, hint) => html`<input id=${id} aria-describedby=${hint} value=${format} spellcheck="false" onInput=${(event) => setFormat(event.currentTarget.value)} />`}<//>
      ${FILTERS.map(([key, label, example]) => html`<${Field} key=${key} label=${label}>${(id) => html`<input id=${id} value=${filter[key]} placeholder=${example} spellcheck="false" onInput=${(event) => setFilter({ ...filter, [key]: event.currentTarget.value })} />`}<//>`)}
      <label class="check"><input type="checkbox" checked=${http} onChange=${(event) => setHttp(event.currentTarget.checked)} /><span>Accept an http:// URL, which anyone on the way can alter</span></label></div></details>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${!name.trim() || !source.trim()}>Review</button></p></form><//>`;
}
